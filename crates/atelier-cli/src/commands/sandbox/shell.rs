//! `atelier sandbox shell`: a login shell in a sandbox.

use clap::Args;

use super::args::SandboxArg;
use super::exec::{inside, run_in};
use crate::context::Context;
use crate::failure::Failure;
use crate::inside::{Command, Way, login_shell};
use crate::run::Terminals;

/// Arguments of `atelier sandbox shell`.
#[derive(Debug, Args)]
#[command(after_help = "The shell is the user's own inside, else bash, else sh.")]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The user to be: a name, UID or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// The folder to start in
    #[arg(short, long, visible_alias = "cwd", value_name = "FOLDER")]
    pub workdir: Option<String>,
}

/// Opens it.
pub(crate) fn run(args: &ShellArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = Terminals::look();
    let (terminal, stdin) = (found.interactive(), found.has_input());
    let folder = args.workdir.clone();
    let command = Command { words: login_shell(), folder, terminal, stdin, ..Command::default() };
    let plane = context.control_plane()?;
    let inside = inside(&plane, &args.sandbox, args.user.as_ref());
    run_in(context, &inside, &command, Way { terminal, stdin, limit: None })
}
