//! `atelier tool stop`: services end, in the reverse order.

use atelier_toolrun::lifecycle;
use clap::Args;

use super::args::SomeOrAll;
use super::desk::Desk;
use super::start::show;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json;

/// Arguments of `atelier tool stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// And don't start it after a login any more
    #[arg(long)]
    pub at_login: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Stops them.
pub(crate) fn run(args: &StopArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let tools = desk.tools(&args.tools.names)?;
    let installed = desk.tools(&[])?;
    let report = desk.with_manner(|m| lifecycle::stop(&desk.home, &tools, &installed, m))?;
    if args.at_login {
        for tool in &tools {
            desk.with_manner(|manner| lifecycle::unregister(tool, manner))?;
        }
    }
    if args.json {
        print_json(&report)?;
        return Ok(report.exit().code());
    }
    show(&report)
}
