//! `atelier run`: a command in an environment, as if it ran here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use atelier_api::session::RunStart;
use atelier_api::{ExitCode, HostPath, Name, Problem};
use clap::Args;

use crate::args::{KeysArg, OptionArgs, ProjectArgs, name};
use crate::commands::env::up::UpArg;
use crate::context::Context;
use crate::default_name;
use crate::failure::Failure;
use crate::run::{Manner, Task, Terminals, drive, size};
use crate::variables::VariableArgs;

const EXAMPLES: &str = "\
Examples:
  atelier run fix-login -- npm test        make fix-login if it is new, run the tests in it
  atelier run fix-login                    a shell in it
  atelier run fix-login test               the command `test` of atelier.yaml, through sh -c
  atelier run fix-login test -- --watch    the same with arguments
  atelier run -- make                      in the environment of the current git branch
  atelier run --rm -- ./try-it             in a new one that is removed afterwards
  atelier run agent --network none -- ./untrusted.sh
  atelier run -dt agent -- claude          leave it running; `atelier attach agent` goes to it

The exit code is the command's own; 128 and the signal's number when a signal ended it.
Of your shell's variables the command gets PATH, HOME, LANG, TERM and the like; pass others with -e.";

/// Arguments of `atelier run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The environment; by default the one of the current git branch
    #[arg(value_name = "ENV", value_parser = name)]
    pub env: Option<Name>,
    /// A command by its name in atelier.yaml
    #[arg(value_name = "NAME")]
    pub script: Option<String>,
    /// The command and its arguments; your shell when left out
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
    /// The environment, as ENV
    #[arg(long, value_name = "ENV", value_parser = name, conflicts_with = "env")]
    pub name: Option<Name>,
    /// Leave the command running by itself, and print its number; see `atelier attach`
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub keys: KeysArg,
    /// Remove the environment when the command has ended
    #[arg(long)]
    pub rm: bool,
    /// Fail if the environment exists already
    #[arg(long)]
    pub new: bool,
    #[command(flatten)]
    pub variables: VariableArgs,
    /// Give the command a terminal
    #[arg(short = 't', long, conflicts_with = "no_tty")]
    pub tty: bool,
    /// Give the command no terminal, even from one
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// Do not pass standard input on
    #[arg(long)]
    pub no_stdin: bool,
    /// Say nothing but what the command says
    #[arg(short, long)]
    pub quiet: bool,
    /// Say when a lost connection is taken up again
    #[arg(short, long)]
    pub verbose: bool,
    /// Do not start the project's services
    #[arg(long, conflicts_with_all = ["build", "recreate", "profile", "share", "isolate"])]
    pub no_up: bool,
    #[command(flatten)]
    pub up: UpArg,
    #[command(flatten)]
    pub project: ProjectArgs,
    #[command(flatten)]
    pub options: OptionArgs,
}

/// Runs it.
pub(crate) fn run(args: &RunArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let terminals = Terminals::look();
    let here = terminals.interactive() && !args.no_tty && !args.no_stdin && !args.detach;
    let terminal = args.tty || here;
    let start = start(args, context, terminals, terminal)?;
    let manner = Manner { progress: terminals.stderr, quiet: args.quiet, verbose: args.verbose };
    if context.on.is_some() && start.services.is_some() && has_services(args, context)? {
        context.try_link();
    }
    let plane = context.control_plane()?;
    context.wait(drive(&plane, Task::start(start, context.on.clone(), args.keys.keys()), manner))
}

fn start(
    args: &RunArgs,
    context: &Context<'_>,
    terminals: Terminals,
    terminal: bool,
) -> Result<RunStart, Failure> {
    let folder = context.here(args.project.project.as_deref())?;
    let folder = folder.as_path();
    let command = match &args.script {
        Some(name) => script(name, &args.command, context, folder)?,
        None => args.command.clone(),
    };
    Ok(RunStart {
        env: environment(args, folder)?,
        command: command.into_iter().map(|word| HostPath(PathBuf::from(word))).collect(),
        options: args.options.options()?,
        variables: args.variables.collect()?,
        inherited: context.inherited(terminal),
        terminal: terminal.then(size),
        stdin: !args.no_stdin && !args.detach && terminals.has_input(),
        detach: args.detach,
        remove: args.rm,
        new: args.new,
        services: (!args.no_up).then(|| args.up.options()),
        project: context.sent(folder, args.verbose)?,
    })
}

/// Whether the project may have services: then their names are to lead to the far host from here.
fn has_services(args: &RunArgs, context: &Context<'_>) -> Result<bool, Failure> {
    let folder = context.here(args.project.project.as_deref())?;
    let root = context.hooks.project_root(folder.as_path())?;
    let usual = ["compose", "docker-compose"]
        .map(|stem| ["yaml", "yml"].map(|end| format!("{stem}.{end}")));
    Ok(usual
        .iter()
        .flatten()
        .chain([&"atelier.yaml".to_owned()])
        .any(|name| root.join(name).exists()))
}

fn environment(args: &RunArgs, folder: &Path) -> Result<Name, Failure> {
    if let Some(name) = args.env.as_ref().or(args.name.as_ref()) {
        return Ok(name.clone());
    }
    let name = if args.rm { default_name::throwaway() } else { default_name::of_folder(folder) };
    name.ok_or_else(|| Failure::usage("there is no name for the environment; give one"))
}

/// The command line of a command of `atelier.yaml`, with the arguments that follow `--`.
fn script(
    name: &str,
    arguments: &[OsString],
    context: &Context<'_>,
    folder: &Path,
) -> Result<Vec<OsString>, Failure> {
    let layer = context.hooks.project_layer(folder)?;
    let commands = layer.map(|layer| layer.commands).unwrap_or_default();
    let Some(line) = commands.get(name) else { return Err(no_script(name, &commands).into()) };
    let line = if arguments.is_empty() { line.clone() } else { format!("{line} \"$@\"") };
    let mut words: Vec<OsString> = vec!["sh".into(), "-c".into(), line.into(), name.into()];
    words.extend_from_slice(arguments);
    Ok(words)
}

fn no_script(name: &str, commands: &BTreeMap<String, String>) -> Problem {
    let detail = format!("atelier.yaml has no command {name:?}");
    let problem = Problem::new("command.not_found", ExitCode::Usage, detail)
        .hint(format!("to run a program, put -- before it: atelier run ENV -- {name}"));
    if commands.is_empty() {
        return problem;
    }
    let names: Vec<_> = commands.keys().map(String::as_str).collect();
    problem.hint(format!("its commands are: {}", names.join(", ")))
}
