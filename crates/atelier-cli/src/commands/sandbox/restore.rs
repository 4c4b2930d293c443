//! `atelier sandbox restore`: back to a snapshot; what the sandbox did since is lost.

use atelier_api::sandbox::{SandboxRestore, SandboxRestoreInput};
use clap::Args;

use super::args::SandboxArg;
use super::change::changed;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::confirm;

/// Arguments of `atelier sandbox restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The snapshot: its name or its id
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Restores it, when the user agrees.
pub(crate) fn run(args: &RestoreArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let (sandbox, snapshot) = (args.sandbox.sandbox.clone(), args.snapshot.clone());
    let question = format!("Take {sandbox} back to {snapshot}? What it did since is lost.");
    if !(args.yes || confirm(&question)?) {
        return Ok(0);
    }
    let what = format!("restoring {sandbox}");
    let input = SandboxRestoreInput { sandbox, snapshot };
    changed(&context.call_slowly::<SandboxRestore>(&what, &input)?, "restored", args.json)
}
