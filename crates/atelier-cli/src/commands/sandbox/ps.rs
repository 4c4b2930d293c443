//! `atelier sandbox ps`: what was started in a sandbox and runs.

use atelier_client::guest::wire::ProcessInfo;
use clap::Args;

use super::args::SandboxArg;
use super::exec::inside;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier sandbox ps`.
#[derive(Debug, Args)]
#[command(after_help = "Lists the commands that were started from outside, not what they started \
                        themselves: for that, atelier sandbox exec SANDBOX -- ps aux")]
pub(crate) struct PsArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Also those that ended, while their output is kept
    #[arg(short, long)]
    pub all: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists it.
pub(crate) fn run(args: &PsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let inside = inside(&plane, &args.sandbox, None);
    let found = context.wait(async { Ok(inside.guest().await?.list(args.all).await?) })?;
    if args.json {
        print_json(&found)?;
    } else {
        let rows: Vec<_> = found.iter().map(row).collect();
        print(table(["PID", "STATUS", "TAG", "COMMAND"], &rows))?;
    }
    Ok(0)
}

fn row(process: &ProcessInfo) -> [String; 4] {
    let status = process.end.as_ref().map_or("running", |end| end.status.as_str());
    [
        process.pid.to_string(),
        status.to_owned(),
        process.tag.clone().unwrap_or_else(|| "-".to_owned()),
        command(process),
    ]
}

/// A process's command line.
pub(super) fn command(process: &ProcessInfo) -> String {
    let words = std::iter::once(&process.config.cmd).chain(&process.config.args);
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}
