//! `atelier tool shim`: what plugins' scripts find as `npx` and `uvx`.

use std::ffi::OsString;

use atelier_api::{ExitCode, Problem};
use atelier_plugin::Slug;
use atelier_tools::Home;
use clap::Args;

use super::become_it::replace;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::note;

/// Arguments of `atelier tool shim`.
#[derive(Debug, Args)]
pub(crate) struct ShimArgs {
    /// What it stands in for: npx or uvx
    pub program: String,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// Becomes the package that the lock names, or the program itself where it names none.
pub(crate) fn run(args: &ShimArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let home = Home::below(context.home()?.root());
    let tool = std::env::var("ATELIER_TOOL").ok().and_then(|name| name.parse::<Slug>().ok());
    let tool = tool.ok_or_else(|| {
        let detail = "this is not called by a tool: ATELIER_TOOL names none";
        Problem::new("tool.shim", ExitCode::Usage, detail)
    })?;
    let words = args.args.iter().map(|word| word.to_string_lossy().into_owned());
    let argv: Vec<_> = std::iter::once(args.program.clone()).chain(words).collect();
    let instead = atelier_tools::shim::of_tool(&home, &tool, &argv, false)?;
    instead.unpinned.iter().for_each(|why| note(why));
    Err(replace(&instead.program, &instead.args))
}
