//! `atelier volume`: files that sandboxes share and that outlive them, one verb a file.

mod create;
mod ls;
mod rm;
mod show;

use clap::Subcommand;

use crate::args::ListArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeCommand {
    /// Make an empty volume
    Create(create::CreateArgs),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show everything about a volume
    #[command(visible_alias = "info")]
    Show(show::ShowArgs),
    /// Remove volumes that no sandbox has, with everything in them
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

impl VolumeCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Create(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Show(args) => args.json,
            Self::Rm(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &VolumeCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        VolumeCommand::Create(args) => create::run(args, context),
        VolumeCommand::Ls(args) => ls::run(args, context),
        VolumeCommand::Show(args) => show::run(args, context),
        VolumeCommand::Rm(args) => rm::run(args, context),
    }
}
