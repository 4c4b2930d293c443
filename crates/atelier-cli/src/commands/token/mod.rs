//! `atelier token`: keys for callers that come over TCP, one verb a file.

mod create;
mod ls;
mod revoke;

use atelier_api::token::Scope;
use clap::{Subcommand, ValueEnum};

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and show its secret once
    Create(create::CreateArgs),
    /// List tokens without their secrets
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Revoke tokens at once
    #[command(visible_aliases = ["rm", "remove"])]
    Revoke(revoke::RevokeArgs),
}

impl TokenCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Create(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Revoke(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &TokenCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        TokenCommand::Create(args) => create::run(args, context),
        TokenCommand::Ls(args) => ls::run(args, context),
        TokenCommand::Revoke(args) => revoke::run(args, context),
    }
}

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Opens {
    /// Everything
    Admin,
    /// Sandboxes, snapshots, images and templates; the E2B API
    Sandboxes,
    /// Everything that only reads, and shows no secret
    Read,
}

impl From<Opens> for Scope {
    fn from(opens: Opens) -> Self {
        match opens {
            Opens::Admin => Self::Admin,
            Opens::Sandboxes => Self::Sandboxes,
            Opens::Read => Self::Read,
        }
    }
}

/// A scope's word, as the API has it.
const fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Sandboxes => "sandboxes",
        Scope::Read => "read",
    }
}
