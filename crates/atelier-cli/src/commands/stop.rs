//! `atelier stop`: the control plane goes, environments stay.

use atelier_api::env::{EnvList, EnvListInput, EnvRef, EnvState, EnvStop};
use atelier_client::ControlPlane;
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{count, print};

/// Arguments of `atelier stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Stop every environment's sandbox first, with the commands in it
    #[arg(long)]
    pub all: bool,
}

/// Stops it.
pub(crate) fn run(args: &StopArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let text = context.wait(async {
        if args.all {
            let stopped = stop_environments(&plane).await?;
            plane.stop().await?;
            let sandboxes = count(stopped, "environment");
            return Ok(format!("stopped {sandboxes} and the control plane; files are kept\n"));
        }
        Ok(match plane.stop().await? {
            true => "stopped the control plane; environments go on\n".to_owned(),
            false => "no control plane was running\n".to_owned(),
        })
    })?;
    print(text)?;
    Ok(0)
}

/// Sandboxes outlive a control plane, so one is started to stop them when none runs.
async fn stop_environments(plane: &ControlPlane<'_>) -> Result<usize, Failure> {
    let all = plane.call::<EnvList>(&EnvListInput::default()).await?;
    let running: Vec<_> = all.into_iter().filter(|e| e.state == EnvState::Running).collect();
    for environment in &running {
        let reference = EnvRef { env: environment.name.clone(), project: environment.root.clone() };
        plane.call::<EnvStop>(&reference).await?;
    }
    Ok(running.len())
}
