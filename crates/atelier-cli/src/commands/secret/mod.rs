//! `atelier secret`: values that header rules name and that no sandbox sees, one verb a file.

mod ls;
mod rm;
mod set;

use clap::Subcommand;

use crate::args::ListArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep a value, or another one in its place
    Set(set::SetArgs),
    /// List secrets, without their values
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Remove secrets; requests that need one are refused from then on
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

impl SecretCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Set(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Rm(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &SecretCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        SecretCommand::Set(args) => set::run(args, context),
        SecretCommand::Ls(args) => ls::run(args, context),
        SecretCommand::Rm(args) => rm::run(args, context),
    }
}
