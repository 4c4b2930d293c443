//! `atelier snapshot`: saved states of sandboxes, one verb a file.

mod ls;
mod rm;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List snapshots
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Remove snapshots; sandboxes made from them stay
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

impl SnapshotCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Rm(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &SnapshotCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        SnapshotCommand::Ls(args) => ls::run(args, context),
        SnapshotCommand::Rm(args) => rm::run(args, context),
    }
}
