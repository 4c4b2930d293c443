//! `atelier network`: networks of environments, one verb a file.

mod info;
mod recreate;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Show the networks of environments, and what is left for more
    Info(info::InfoArgs),
    /// Take the networks of environments down and make them anew
    Recreate(recreate::RecreateArgs),
}

impl NetworkCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Info(args) => args.json,
            Self::Recreate(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &NetworkCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        NetworkCommand::Info(args) => info::run(args, context),
        NetworkCommand::Recreate(args) => recreate::run(args, context),
    }
}
