//! `atelier tool keep`: stays beside the process of a tool, and starts it again as its plugin says.

use std::io;

use atelier_plugin::Slug;
use atelier_toolrun::lifecycle;
use atelier_tools::Home;
use clap::Args;

use super::args::slug;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier tool keep`.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
}

/// Keeps it.
pub(crate) fn run(args: &KeepArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let home = Home::below(context.home()?.root());
    let around = std::env::vars_os().collect();
    let code = lifecycle::keep(&home, &args.name, around, &mut io::stdout())?;
    Ok(u8::try_from(code).unwrap_or(1))
}
