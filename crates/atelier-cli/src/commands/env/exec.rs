//! `atelier env exec`: a command in the container of a service, as if it ran here.

use atelier_api::session::{ServiceStart, ToServer};
use clap::Args;

use crate::args::EnvArg;
use crate::commands::sandbox::exec::IoArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::run::{Manner, Task, drive, size};
use crate::variables::VariableArgs;

const EXAMPLES: &str = "\
Examples:
  atelier env exec fix-login db psql -U postgres
  atelier env exec fix-login db -- sh -c 'ls -l /var/lib'
  atelier env exec fix-login db < dump.sql psql -U postgres
  atelier env exec fix-login db                            a shell

The exit code is the command's own. A command in the environment itself: atelier run ENV -- CMD.";

/// Arguments of `atelier env exec`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The command and its arguments; sh when left out
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<String>,
    #[command(flatten)]
    pub io: IoArgs,
    #[command(flatten)]
    pub variables: VariableArgs,
    /// The folder to start in
    #[arg(short, long, visible_alias = "cwd", value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// The user to run as: a name, UID or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Which of the service's containers, counted from 1
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
}

/// Runs it.
pub(crate) fn run(args: &ExecArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let (terminal, stdin) = args.io.look();
    let command = match args.command.as_slice() {
        [] => vec!["sh".to_owned()],
        words => words.to_vec(),
    };
    let start = ServiceStart {
        env: reference.env.clone(),
        project: reference.project,
        service: args.service.clone(),
        index: args.index,
        command,
        variables: args.variables.collect()?,
        user: args.user.clone(),
        folder: args.workdir.clone(),
        terminal: terminal.then(size),
        stdin,
    };
    let task = Task {
        first: ToServer::Exec(Box::new(start)),
        env: reference.env,
        on: context.on.clone(),
        back: None,
        terminal,
        stdin,
        signals: true,
        detach: false,
        keys: None,
    };
    let manner = Manner { progress: false, quiet: false, verbose: false };
    let plane = context.control_plane()?;
    context.wait(drive(&plane, task, manner))
}
