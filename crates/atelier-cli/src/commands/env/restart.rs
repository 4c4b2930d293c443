//! `atelier env restart`: services stopped and started.

use atelier_api::service::{EnvRestart, EnvRestartInput};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier env restart`.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Restarts them.
pub(crate) fn run(args: &RestartArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let input = EnvRestartInput {
        env: reference.env,
        project: reference.project,
        services: args.services.clone(),
    };
    let plane = context.control_plane()?;
    let up = context.wait(async { Ok(plane.call::<EnvRestart>(&input).await?) })?;
    super::up::show(&up, args.json)
}
