//! `atelier tool status`: how the services are.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use atelier_plugin::Slug;
use atelier_toolrun::lifecycle::{self, State, Status};
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, age, print, print_json, size, table};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Arguments of `atelier tool status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The tools; none: every one
    #[arg(value_name = "NAME", value_parser = slug)]
    pub names: Vec<Slug>,
    /// Go on showing it until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &StatusArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let mut before = Before::default();
    loop {
        let tools = desk.tools(&args.names)?;
        let all = desk.with_manner(|manner| lifecycle::status(&desk.home, &tools, manner));
        match args.json {
            true => print_json(&all)?,
            false => print(screen(args.watch, &all, &before))?,
        }
        before = Before::of(&all);
        if !args.watch {
            return Ok(0);
        }
        thread::sleep(PAUSE);
    }
}

/// The look before, from which the use of processors in between is told.
#[derive(Default)]
struct Before(BTreeMap<Slug, u64>, Option<Instant>);

impl Before {
    fn of(all: &[Status]) -> Self {
        let used = all.iter().filter_map(|one| Some((one.slug.clone(), one.cpu?)));
        Self(used.collect(), Some(Instant::now()))
    }

    /// Percent of one processor since then; at the first look, the seconds that it used so far.
    fn cpu(&self, status: &Status) -> Option<String> {
        let now = status.cpu?;
        Some(match self.1.zip(self.0.get(&status.slug)) {
            None => format!("{:.1}s", Duration::from_millis(now).as_secs_f64()),
            Some((at, then)) => {
                let used = Duration::from_millis(now.saturating_sub(*then)).as_secs_f64();
                format!("{:.0}%", used / at.elapsed().as_secs_f64() * 100.0)
            }
        })
    }
}

/// The table; at a terminal that watches, in place of the one before (ECMA-48: CUP and ED).
fn screen(watch: bool, all: &[Status], before: &Before) -> String {
    let begin = if watch && io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
    if all.is_empty() {
        return format!("{begin}no tools; `atelier tool add` installs one\n");
    }
    let rows: Vec<_> = all.iter().map(|status| row(status, before)).collect();
    let head = ["TOOL", "KIND", "STATE", "MEMORY", "CPU", "UP", "PORTS"];
    format!("{begin}{}", table(head, &rows))
}

fn row(status: &Status, before: &Before) -> [String; 7] {
    let dash = || "-".to_owned();
    let ports: Vec<_> = status.ports.iter().map(|port| port.port.to_string()).collect();
    [
        status.slug.to_string(),
        word(&status.kind),
        state(status),
        status.memory.map_or_else(dash, size),
        before.cpu(status).unwrap_or_else(dash),
        status.since.map_or_else(dash, age),
        if ports.is_empty() { dash() } else { ports.join(" ") },
    ]
}

/// A word as JSON has it.
fn word(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok();
    text.as_ref().and_then(|v| v.as_str()).unwrap_or("-").to_owned()
}

fn state(status: &Status) -> String {
    let paint = Paint::stdout();
    let text = word(&status.state);
    match (&status.unwell, status.state) {
        (Some(why), _) if !why.is_empty() => paint.yellow(&format!("unhealthy: {why}")),
        (_, State::Running) => paint.green(&text),
        (_, State::Failed | State::Invalid) => paint.red(&text),
        (_, State::Partial | State::Unhealthy | State::Unknown) => paint.yellow(&text),
        _ => text,
    }
}
