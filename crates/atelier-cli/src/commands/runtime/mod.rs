//! `atelier runtime`: what isolates sandboxes, one verb a file.

mod ls;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// List runtimes: which work on this machine, and why others don't
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
}

impl RuntimeCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &RuntimeCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        RuntimeCommand::Ls(args) => ls::run(args, context),
    }
}
