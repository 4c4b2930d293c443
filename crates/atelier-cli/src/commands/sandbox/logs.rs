//! `atelier sandbox logs`: what commands wrote, as long as the sandbox keeps it.

use std::io::Write;

use atelier_api::{ExitCode, Problem};
use atelier_client::guest::client::Guest;
use atelier_client::guest::wire::{ProcessEvent, ProcessInfo, Stream};
use clap::Args;

use super::args::SandboxArg;
use super::exec::inside;
use super::ps::command;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, note, print, visible};

/// Arguments of `atelier sandbox logs`.
#[derive(Debug, Args)]
#[command(after_help = "Of each command the newest part of its output is kept, and after its end \
                        for a while.")]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The command's number; every command when left out
    #[arg(value_name = "PID")]
    pub pid: Option<u32>,
    /// Go on until the command ends
    #[arg(short, long)]
    pub follow: bool,
}

/// Shows it.
pub(crate) fn run(args: &LogsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let inside = inside(&plane, &args.sandbox, None);
    context.wait(async {
        let guest = inside.guest().await?;
        if let Some(pid) = args.pid {
            show(&guest, pid, args.follow).await?;
            return Ok(0);
        }
        let found = guest.list(true).await?;
        if args.follow {
            show(&guest, only(&found)?, true).await?;
            return Ok(0);
        }
        let paint = Paint::stdout();
        for process in &found {
            let status = process.end.as_ref().map_or("running", |end| end.status.as_str());
            let text = format!("$ {}  (process {}, {status})", command(process), process.pid);
            print(format!("{}\n", paint.dim(&visible(&text))))?;
            show(&guest, process.pid, false).await?;
        }
        Ok(0)
    })
}

/// The one that runs.
fn only(found: &[ProcessInfo]) -> Result<u32, Failure> {
    let mut running = found.iter().filter(|process| process.end.is_none());
    match (running.next(), running.next()) {
        (Some(one), None) => Ok(one.pid),
        (None, _) => {
            let detail = "no command runs that could be followed";
            Err(Problem::new("logs.nothing", ExitCode::NotFound, detail).into())
        }
        _ => Err(Failure::usage("several commands run; say which one, as `ps` lists them")),
    }
}

/// Writes what one command wrote: up to now, or to its end.
async fn show(guest: &Guest, pid: u32, follow: bool) -> Result<(), Failure> {
    // A stream that begins now says how much there is.
    let now = guest.connect(pid, None).await?.offset();
    let mut stream = guest.connect(pid, Some(0)).await?;
    while follow || stream.offset() < now {
        match stream.next().await.transpose()? {
            Some(ProcessEvent::Data(data)) if data.stream == Stream::Stderr => {
                // Nobody can be told that standard error is gone.
                let _ = std::io::stderr().write_all(&data.bytes);
            }
            Some(ProcessEvent::Data(data)) => print(&data.bytes)?,
            Some(ProcessEvent::Gap(gap)) => {
                let lost = gap.to.unwrap_or(0).saturating_sub(gap.from.unwrap_or(0));
                note(&format!("the first {lost} bytes of its output are not kept any more"));
            }
            Some(ProcessEvent::End(_)) | None => break,
            Some(ProcessEvent::Start(_) | ProcessEvent::Keepalive(_)) => {}
        }
    }
    Ok(())
}
