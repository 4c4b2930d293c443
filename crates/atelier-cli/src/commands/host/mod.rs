//! `atelier host`: machines that SSH reaches, one verb a file.

mod add;
mod check;
mod ls;
mod rm;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Give a machine a name for --on
    Add(add::AddArgs),
    /// List the machines
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Say what a machine has, and what it lacks
    Check(check::CheckArgs),
    /// Forget a machine; what is on it stays
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

impl HostCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Check(args) => args.json,
            Self::Add(_) | Self::Rm(_) => false,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &HostCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        HostCommand::Add(args) => add::run(args, context),
        HostCommand::Ls(args) => ls::run(args, context),
        HostCommand::Check(args) => check::run(args, context),
        HostCommand::Rm(args) => rm::run(args, context),
    }
}
