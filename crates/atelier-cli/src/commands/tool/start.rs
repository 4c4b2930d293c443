//! `atelier tool start`: services come up, what they need first.

use atelier_toolrun::lifecycle::{self, Became, Registered, Report};
use clap::Args;
use serde::Serialize;

use super::args::SomeOrAll;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier tool start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// Start it after every login from now on; `stop --at-login` ends that
    #[arg(long)]
    pub at_login: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// What was started, and how it starts from now on.
#[derive(Debug, Serialize)]
struct Started {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    at_login: Vec<Registered>,
}

/// Starts them.
pub(crate) fn run(args: &StartArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let tools = desk.tools(&args.tools.names)?;
    let report = desk.with_manner(|manner| lifecycle::start(&desk.home, &tools, manner))?;
    let mut at_login = Vec::new();
    if args.at_login {
        for tool in &args.tools.names {
            at_login.push(desk.with_manner(|m| lifecycle::register(&desk.home, tool, m))?);
        }
    }
    if args.json {
        print_json(&Started { report: report.clone(), at_login })?;
        return Ok(report.exit().code());
    }
    for registered in &at_login {
        registered.notes.iter().for_each(|text| note(text));
    }
    show(&report)
}

/// A line for each tool; failures on standard error.
pub(super) fn show(report: &Report) -> Result<u8, Failure> {
    for outcome in &report.tools {
        let slug = &outcome.slug;
        match (&outcome.problem, outcome.became) {
            (Some(problem), _) => {
                Failure::from(problem.clone()).report(false);
            }
            (None, Became::NoService) => {
                print(format!("{slug} has no service; agents start its server\n"))?;
            }
            (None, became) => print(format!("{} {slug}\n", word(became)))?,
        }
    }
    Ok(report.exit().code())
}

const fn word(became: Became) -> &'static str {
    match became {
        Became::Started => "started",
        Became::Already => "already running",
        Became::Stopped => "stopped",
        _ => "left alone",
    }
}
