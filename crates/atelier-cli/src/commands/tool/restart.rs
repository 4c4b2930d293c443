//! `atelier tool restart`: services end and come up again.

use atelier_toolrun::lifecycle;
use clap::Args;

use super::args::SomeOrAll;
use super::desk::Desk;
use super::start::show;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json;

/// Arguments of `atelier tool restart`.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Restarts them.
pub(crate) fn run(args: &RestartArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let tools = desk.tools(&args.tools.names)?;
    let installed = desk.tools(&[])?;
    let report = desk.with_manner(|m| lifecycle::restart(&desk.home, &tools, &installed, m))?;
    if args.json {
        print_json(&report)?;
        return Ok(report.exit().code());
    }
    show(&report)
}
