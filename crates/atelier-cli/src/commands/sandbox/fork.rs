//! `atelier sandbox fork`: copies of a sandbox as it is now.

use atelier_api::sandbox::{SandboxFork, SandboxForkInput};
use clap::Args;

use super::args::{SandboxArg, seconds};
use super::create::called;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier sandbox fork`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  atelier sandbox fork dev --count 3")]
pub(crate) struct ForkArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// How many copies
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// How long each lives, such as 30m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub timeout: Option<u64>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes them; their ids are on standard output, one on each line.
pub(crate) fn run(args: &ForkArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let sandbox = args.sandbox.sandbox.clone();
    let what = format!("copying {sandbox}");
    let input = SandboxForkInput { sandbox, count: args.count, timeout: args.timeout };
    let made = context.call_slowly::<SandboxFork>(&what, &input)?;
    if args.json {
        print_json(&made)?;
        return Ok(0);
    }
    made.iter().flat_map(|one| &one.notes).for_each(|text| note(text));
    print(made.iter().map(|one| format!("{}\n", called(one))).collect::<String>())?;
    Ok(0)
}
