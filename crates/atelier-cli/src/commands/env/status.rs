//! `atelier env status`: what an environment's services are doing.

use atelier_api::service::{EnvStatus, ServiceState, ServiceView, Services};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, table, visible};

/// Arguments of `atelier env status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &StatusArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let plane = context.control_plane()?;
    let found = context.wait(async { Ok(plane.call::<EnvStatus>(&reference).await?) })?;
    super::up::show(&found, args.json)
}

/// Services as a table, with what the reader should know below it.
pub(super) fn text(services: &Services, paint: Paint) -> String {
    if services.services.is_empty() {
        return format!("{} has no services that were started\n", services.env);
    }
    let rows: Vec<_> = services.services.iter().map(row).collect();
    let mut text = table(["SERVICE", "STATE", "ADDRESS", "PORTS", "NAME", "URL"], &rows);
    for note in &services.notes {
        text.push_str(&format!("{} {}\n", paint.dim("note:"), visible(note)));
    }
    text
}

fn row(service: &ServiceView) -> [String; 6] {
    let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let ports: Vec<String> = service.ports.iter().map(u16::to_string).collect();
    [
        service.name.clone(),
        state(service),
        or(service.addresses.first().map(ToString::to_string)),
        if ports.is_empty() { "-".to_owned() } else { ports.join(", ") },
        or(service.names.first().cloned()),
        or(service.url.clone()),
    ]
}

fn state(service: &ServiceView) -> String {
    let word = match service.state {
        ServiceState::Down => "down",
        ServiceState::Created => "created",
        ServiceState::Running => "running",
        ServiceState::Starting => "starting",
        ServiceState::Unhealthy => "unhealthy",
        ServiceState::Paused => "paused",
        ServiceState::Restarting => "restarting",
        ServiceState::Exited => "exited",
    };
    let code = service.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
    let shared = if service.shared { ", shared" } else { "" };
    format!("{word}{code}{shared}")
}
