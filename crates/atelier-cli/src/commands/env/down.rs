//! `atelier env down`: the services go, their data stays.

use atelier_api::service::{EnvDown, EnvDownInput};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier env down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Remove volumes with what they hold
    #[arg(short, long)]
    pub volumes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Stops them.
pub(crate) fn run(args: &DownArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let input =
        EnvDownInput { env: reference.env, project: reference.project, volumes: args.volumes };
    let plane = context.control_plane()?;
    let down = context.wait(async { Ok(plane.call::<EnvDown>(&input).await?) })?;
    if args.json {
        print_json(&down)?;
    } else if args.volumes {
        print(format!("the services of {} are down, and their data is gone\n", down.env))?;
    } else {
        print(format!("the services of {} are down; their data is kept\n", down.env))?;
    }
    Ok(0)
}
