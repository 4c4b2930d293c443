//! `atelier status`: how the control plane is. It is not started for this.

use atelier_api::system::{Nothing, Status, SystemStatus};
use atelier_api::{ExitCode, Problem};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, table};

/// Arguments of `atelier status`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 3 when the control plane does not run.")]
pub(crate) struct StatusArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &StatusArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let home = context.home()?;
    let status = context.wait(async {
        if !plane.is_running().await? {
            let detail = format!("no control plane runs for {}", home.root().display());
            return Err(Problem::new("control_plane.stopped", ExitCode::NotFound, detail)
                .hint("it starts with the first command that needs it, such as `atelier run`")
                .into());
        }
        Ok(plane.call::<SystemStatus>(&Nothing {}).await?)
    })?;
    if args.json {
        print_json(&status)?;
    } else {
        print(text(&status))?;
    }
    Ok(0)
}

fn text(status: &Status) -> String {
    let nowhere = || "nowhere".to_owned();
    let lines = [
        ("version", status.version.clone()),
        ("process", status.pid.to_string()),
        ("running for", age(status.started_at)),
        ("memory", size(status.memory_bytes)),
        (
            "environments",
            format!("{}, {} running", status.environments.total, status.environments.running),
        ),
        ("home", status.home.as_path().display().to_string()),
        ("api over tcp", status.listen.clone().unwrap_or_else(nowhere)),
        ("web servers", status.ingress.clone().unwrap_or_else(nowhere)),
    ];
    let reached = [
        ("over tls", &status.tls),
        ("domain", &status.domain),
        ("ssh", &status.ssh),
        ("names", &status.dns),
    ];
    let reached = reached.into_iter().filter_map(|(name, at)| Some((name, at.clone()?)));
    let lines: Vec<_> = lines.into_iter().chain(reached).collect();
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect();
    if !status.jobs.is_empty() {
        let rows = status.jobs.iter().map(|job| {
            [job.kind.clone(), job.subject.clone(), job.step.clone(), age(job.started_at)]
        });
        text.push_str(&format!(
            "\n{}",
            table(["CHANGE", "OF", "STEP", "SINCE"], &rows.collect::<Vec<_>>())
        ));
    }
    text
}
