//! `atelier env logs`: what commands wrote, kept for those who were not there.

mod follow;

use atelier_api::env::{EnvLogs, EnvLogsInput, RunLog};
use atelier_api::service::{EnvServiceLogs, EnvServiceLogsInput};
use atelier_api::{ExitCode, Problem};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, age, print, print_json, visible};

/// Arguments of `atelier env logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// What a service wrote instead (repeatable)
    #[arg(short, long, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// What every service wrote instead
    #[arg(long)]
    pub services: bool,
    /// Only the last so many commands, or lines of each service
    #[arg(short = 'n', long, visible_alias = "tail", value_name = "COUNT")]
    pub last: Option<u32>,
    /// Go on with what comes: of the services, or of the newest command that runs
    #[arg(short, long, conflicts_with = "json")]
    pub follow: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &LogsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let of_services = args.services || !args.service.is_empty();
    match (of_services, args.follow) {
        (true, true) => return follow::services(args, context),
        (true, false) => return services(args, context),
        (false, _) => {}
    }
    let reference = args.env.reference(context)?;
    let input = EnvLogsInput { env: reference.env, project: reference.project, last: args.last };
    let plane = context.control_plane()?;
    let logs = context.wait(async { Ok(plane.call::<EnvLogs>(&input).await?) })?;
    if args.json {
        print_json(&logs)?;
        return Ok(0);
    }
    let paint = Paint::stdout();
    let running = logs.last().filter(|log| args.follow && log.exit_code.is_none());
    for log in logs.iter().take(logs.len() - usize::from(running.is_some())) {
        print(text(log, paint)?)?;
    }
    let Some(running) = running else { return Ok(0) };
    print(format!("{}\n", head(running, paint)))?;
    follow::command(args, running.pid, context)
}

fn services(args: &LogsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let input = EnvServiceLogsInput {
        env: reference.env,
        project: reference.project,
        services: args.service.clone(),
        tail: args.last,
    };
    let plane = context.control_plane()?;
    let logs = context.wait(async { Ok(plane.call::<EnvServiceLogs>(&input).await?) })?;
    if args.json {
        print_json(&logs)?;
        return Ok(0);
    }
    for log in &logs {
        let output = decode(&log.output_base64)?;
        for line in output.split_inclusive(|byte| *byte == b'\n') {
            print(labelled(&log.service, line))?;
        }
    }
    Ok(0)
}

/// A line behind the name of the service that wrote it.
fn labelled(service: &str, line: &[u8]) -> Vec<u8> {
    let prefix = format!("{:<12} | ", visible(service));
    let mut text = Paint::stdout().dim(&prefix).into_bytes();
    text.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    Ok(BASE64_STANDARD.decode(text).map_err(|e| {
        let detail = format!("the control plane's log cannot be read: {e}");
        Problem::new("control_plane.protocol", ExitCode::Failed, detail)
    })?)
}

fn head(log: &RunLog, paint: Paint) -> String {
    let end = match log.exit_code {
        Some(code) => format!("exit code {code}"),
        None => "no end seen".to_owned(),
    };
    let command = visible(&log.command.join(" "));
    let head = format!("$ {command}  ({} ago, {end})", age(log.started_at));
    paint.dim(&head)
}

fn text(log: &RunLog, paint: Paint) -> Result<Vec<u8>, Failure> {
    let mut text = format!("{}\n", head(log, paint)).into_bytes();
    let output = decode(&log.output_base64)?;
    text.extend_from_slice(&output);
    if !output.is_empty() && !output.ends_with(b"\n") {
        text.push(b'\n');
    }
    Ok(text)
}
