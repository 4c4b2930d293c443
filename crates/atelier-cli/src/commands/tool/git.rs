//! `atelier tool git`: git in the home, in place of this process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use atelier_api::{ExitCode, Problem};
use atelier_tools::{Home, verbs};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier tool git`.
#[derive(Debug, Args)]
pub(crate) struct GitArgs {
    /// What git is to do
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub args: Vec<OsString>,
}

/// Becomes git.
pub(crate) fn run(args: &GitArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let home = Home::below(context.home()?.root());
    verbs::installed(&home)?;
    let error = verbs::git(&home, &args.args).exec();
    Err(Problem::new("tool.git", ExitCode::Git, format!("git cannot be executed: {error}"))
        .hint("install it: apt install git")
        .into())
}
