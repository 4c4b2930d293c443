//! `atelier env stop`: the commands go, the files stay.

use atelier_api::env::EnvStop;
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier env stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Stops it.
pub(crate) fn run(args: &StopArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let reference = args.env.reference(context)?;
    let stopped = context.wait(async { Ok(plane.call::<EnvStop>(&reference).await?) })?;
    if args.json {
        print_json(&stopped)?;
    } else {
        print(format!("stopped {}; its files are kept\n", stopped.name))?;
    }
    Ok(0)
}
