//! `atelier dns`: names of services on this machine, one verb a file.

mod remove;
mod setup;
pub(crate) mod status;
mod target;
mod trust;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Make this machine's resolver ask Atelier for names such as api.agent-1.test
    Setup(setup::SetupArgs),
    /// Show how names are answered for, and whether they are found
    Status(status::StatusArgs),
    /// Take back what `dns setup` has changed
    Remove(remove::RemoveArgs),
    /// Make this machine trust the certificates of Atelier's names
    Trust(trust::TrustArgs),
}

impl DnsCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Status(args) => args.json,
            Self::Setup(_) | Self::Remove(_) | Self::Trust(_) => false,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &DnsCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        DnsCommand::Setup(args) => setup::run(args, context),
        DnsCommand::Status(args) => status::run(args, context),
        DnsCommand::Remove(args) => remove::run(args, context),
        DnsCommand::Trust(args) => trust::run(args, context),
    }
}
