//! `atelier hostnames`: further names of services, one verb a file.

mod add;
mod ls;
mod rm;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum HostnamesCommand {
    /// Give a service of an environment a further name
    Add(add::AddArgs),
    /// Take a further name away
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// List the names of an environment's services
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
}

impl HostnamesCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Add(args) => args.json,
            Self::Rm(args) => args.json,
            Self::Ls(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &HostnamesCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        HostnamesCommand::Add(args) => add::run(args, context),
        HostnamesCommand::Rm(args) => rm::run(args, context),
        HostnamesCommand::Ls(args) => ls::run(args, context),
    }
}
