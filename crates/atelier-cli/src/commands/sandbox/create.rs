//! `atelier sandbox create`: a new sandbox, started.

use atelier_api::sandbox::{SandboxCreate, SandboxDetail};
use clap::Args;

use super::args::CreateOptions;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier sandbox create                            from the image of the settings
  atelier sandbox create alpine:3.20 --name dev     an image, pulled when it is not there
  atelier sandbox create --runtime gvisor --memory 512MiB --timeout 30m python:3.12
  id=$(atelier sandbox create --network none)       only the id is on standard output";

/// Arguments of `atelier sandbox create`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CreateArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub options: CreateOptions,
}

/// Makes it.
pub(crate) fn run(args: &CreateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let options = args.options.options()?;
    let made = context.call_slowly::<SandboxCreate>("making a sandbox", &options)?;
    if args.json {
        print_json(&made)?;
        return Ok(0);
    }
    made.notes.iter().for_each(|text| note(text));
    print(format!("{}\n", called(&made)))?;
    Ok(0)
}

/// What a sandbox is called: its name, or its id.
pub(super) fn called(made: &SandboxDetail) -> &str {
    made.sandbox.name.as_ref().map_or(&made.sandbox.id, |name| name.as_str())
}
