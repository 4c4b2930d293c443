//! `atelier env show`: everything about one environment.

use atelier_api::env::{EnvDetail, EnvShow, NetworkMode};
use clap::Args;

use super::ls::state;
use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, visible};

/// Arguments of `atelier env show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &ShowArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let reference = args.env.reference(context)?;
    let found = context.wait(async { Ok(plane.call::<EnvShow>(&reference).await?) })?;
    if args.json {
        print_json(&found)?;
    } else {
        print(text(&found))?;
    }
    Ok(0)
}

fn text(detail: &EnvDetail) -> String {
    let env = &detail.environment;
    let mut lines = vec![
        ("name", env.name.to_string()),
        ("project", format!("{} at {}", env.project, env.root.as_path().display())),
        ("state", state(env.state).to_owned()),
        ("made", format!("{} ago, from {}", age(env.created_at), from(env.from.as_deref()))),
        ("runtime", env.runtime.clone()),
        ("network", network(detail)),
        ("limits", limits(detail)),
        (
            "workspace",
            format!("{}, {} of its own on disk", detail.layering, size(detail.disk_bytes)),
        ),
    ];
    if !detail.options.grants.is_empty() {
        lines.push(("grants", detail.options.grants.join(", ")));
    }
    if let Some(url) = &env.url {
        lines.push(("url", url.clone()));
    }
    if !detail.ports.is_empty() {
        let ports: Vec<_> = detail.ports.iter().map(u16::to_string).collect();
        lines.push(("ports", ports.join(", ")));
    }
    for process in &detail.running {
        lines.push(("command", format!("{} {}", process.pid, process.command.join(" "))));
    }
    for note in &detail.notes {
        lines.push(("note", note.clone()));
    }
    lines.iter().map(|(name, value)| format!("{name:<11}{}\n", visible(value))).collect()
}

fn from(reference: Option<&str>) -> &str {
    reference.unwrap_or("the folder as it was")
}

fn network(detail: &EnvDetail) -> String {
    match detail.options.network.unwrap_or_default() {
        NetworkMode::Open => "open".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Allowlist => format!("only {}", detail.options.allow.join(", ")),
    }
}

fn limits(detail: &EnvDetail) -> String {
    let limits = &detail.options.resources;
    let parts: Vec<_> = [
        limits.memory.map(|bytes| format!("{} of memory", size(bytes))),
        limits.cpus.map(|cores| format!("{cores} cores")),
        limits.processes.map(|count| format!("{count} processes")),
        limits.disk.map(|bytes| format!("{} of disk", size(bytes))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}
