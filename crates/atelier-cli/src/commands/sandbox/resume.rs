//! `atelier sandbox resume`: what was paused goes on; what was stopped starts.

use atelier_api::sandbox::{SandboxResume, SandboxResumeInput};
use clap::Args;

use super::args::{SandboxArg, seconds};
use super::create::called;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier sandbox resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// How long it lives from now on, such as 30m; never less than what it has left
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub timeout: Option<u64>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lets it go on.
pub(crate) fn run(args: &ResumeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let sandbox = args.sandbox.sandbox.clone();
    let what = format!("resuming {sandbox}");
    let input = SandboxResumeInput { sandbox, timeout: args.timeout };
    let resumed = context.call_slowly::<SandboxResume>(&what, &input)?;
    if args.json {
        print_json(&resumed)?;
    } else {
        print(format!("resumed {}\n", called(&resumed)))?;
    }
    Ok(0)
}
