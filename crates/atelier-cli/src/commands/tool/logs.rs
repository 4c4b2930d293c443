//! `atelier tool logs`: what a service wrote.

use std::io;

use atelier_plugin::Slug;
use atelier_toolrun::lifecycle;
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier tool logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// Go on as it writes
    #[arg(short, long)]
    pub follow: bool,
    /// The last lines alone
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 200)]
    pub tail: usize,
}

/// Shows it. The exit code is that of the plugin's own command, where it has one.
pub(crate) fn run(args: &LogsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, false)?;
    desk.tools(std::slice::from_ref(&args.name))?;
    let stopped = || desk.is_cancelled();
    let code = desk.with_manner(|manner| {
        let out = &mut io::stdout();
        lifecycle::logs(&desk.home, &args.name, args.tail, args.follow, out, &stopped, manner)
    })?;
    Ok(u8::try_from(code).unwrap_or(1))
}
