//! `atelier sandbox rename`: another name.

use atelier_api::Name;
use atelier_api::sandbox::{SandboxRename, SandboxRenameInput};
use clap::Args;

use super::change::changed;
use crate::args::name;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox rename`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  atelier sandbox rename 3f2a dev")]
pub(crate) struct RenameArgs {
    /// The sandbox: its name, its id, or the beginning of its id
    #[arg(value_name = "OLD")]
    pub sandbox: String,
    /// Its name from now on
    #[arg(value_name = "NEW", value_parser = name, required_unless_present = "none")]
    pub name: Option<Name>,
    /// Take its name away; its id stays
    #[arg(long, conflicts_with = "name")]
    pub none: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Renames it.
pub(crate) fn run(args: &RenameArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let input = SandboxRenameInput { sandbox: args.sandbox.clone(), name: args.name.clone() };
    changed(&context.call::<SandboxRename>(&input)?, "renamed to", args.json)
}
