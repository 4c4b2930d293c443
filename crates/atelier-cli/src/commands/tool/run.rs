//! `atelier tool run`: a script of a tool, in place of this process.

use std::ffi::OsString;

use atelier_plugin::Slug;
use atelier_toolrun::lifecycle;
use clap::Args;

use super::args::slug;
use super::become_it::become_it;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier tool run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// The script, in custom/ or in the tool's folder, with or without .sh
    pub script: String,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// Becomes the script.
pub(crate) fn run(args: &RunArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, false)?;
    desk.tools(std::slice::from_ref(&args.name))?;
    let exec = desk.with_manner(|manner| {
        lifecycle::script(&desk.home, &args.name, &args.script, &args.args, manner)
    })?;
    Err(become_it(&exec))
}
