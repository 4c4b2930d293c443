//! `atelier sandbox extend`: how long it still lives.

use atelier_api::sandbox::{SandboxExtend, SandboxExtendInput};
use clap::Args;

use super::args::{SandboxArg, seconds};
use super::change::changed;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox extend`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  atelier sandbox extend dev 2h")]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// How long it lives from now on, such as 30m
    #[arg(value_name = "TIME", value_parser = seconds, required_unless_present = "forever")]
    pub timeout: Option<u64>,
    /// Until it is removed
    #[arg(long, conflicts_with = "timeout")]
    pub forever: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Sets it.
pub(crate) fn run(args: &ExtendArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let sandbox = args.sandbox.sandbox.clone();
    let input = SandboxExtendInput { sandbox, timeout: args.timeout };
    changed(&context.call::<SandboxExtend>(&input)?, "extended", args.json)
}
