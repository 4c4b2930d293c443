//! `atelier sandbox exec`: a command in a sandbox, as if it ran here.

use std::ffi::OsString;
use std::time::Duration;

use atelier_client::ControlPlane;
use atelier_config::units;
use clap::Args;

use super::args::SandboxArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::inside::{Command, Inside, Way, catch, drive};
use crate::output::print;
use crate::run::Terminals;
use crate::variables::VariableArgs;

const EXAMPLES: &str = "\
Examples:
  atelier sandbox exec dev -- cargo test
  atelier sandbox exec dev -- sh -c 'echo $HOME | wc -c'
  atelier sandbox exec dev -u root -w /srv -e DEBUG=1 -- ./serve
  echo '1 + 1' | atelier sandbox exec dev -- bc
  atelier sandbox exec dev --detach -- ./serve        prints its number; see logs, kill

The exit code is the command's own; 128 and the signal's number when a signal ended it, 127 when
there is no such command, 124 when its --timeout was over.";

/// What a command has to do with this terminal and these pipes.
#[derive(Debug, Default, Args)]
pub(crate) struct IoArgs {
    /// Pass standard input on, though it seems to have nothing to give
    #[arg(short, long, conflicts_with = "no_stdin")]
    pub interactive: bool,
    /// Give the command a terminal; by default it gets one when this is one at both ends
    #[arg(short = 't', long, conflicts_with = "no_tty")]
    pub tty: bool,
    /// Give the command no terminal, even from one
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// Do not pass standard input on
    #[arg(long)]
    pub no_stdin: bool,
}

impl IoArgs {
    /// Whether the command gets a terminal, and whether it gets standard input.
    pub(crate) fn look(&self) -> (bool, bool) {
        let found = Terminals::look();
        let terminal = self.tty || (found.interactive() && !self.no_tty && !self.no_stdin);
        (terminal, !self.no_stdin && (self.interactive || found.has_input()))
    }
}

/// Arguments of `atelier sandbox exec`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
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
    /// Kill the command when it runs longer than this, such as 10s
    #[arg(long, value_name = "TIME", value_parser = limit)]
    pub timeout: Option<Duration>,
    /// Let it run on by itself, and print its number
    #[arg(short, long, conflicts_with_all = ["interactive", "tty"])]
    pub detach: bool,
}

/// A time; bare numbers are seconds.
fn limit(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<u64>() {
        Ok(0) => Err("it must be more than 0".to_owned()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => units::parse_duration(text).map_err(|bad| bad.to_string()),
    }
}

/// Runs it.
pub(crate) fn run(args: &ExecArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let (terminal, stdin) = if args.detach { (false, false) } else { args.io.look() };
    let command = Command {
        words: args.command.clone(),
        variables: args.variables.collect()?,
        folder: args.workdir.clone(),
        terminal,
        stdin,
    };
    let plane = context.control_plane()?;
    let (sandbox, user) = (args.sandbox.sandbox.clone(), args.user.clone());
    let inside = Inside { plane: &plane, sandbox, user };
    if args.detach {
        return context.wait(detach(&inside, &command, args.timeout));
    }
    let way = Way { terminal, stdin, limit: args.timeout };
    run_in(context, &inside, &command, way)
}

/// Runs a command in a sandbox to its end.
pub(super) fn run_in(
    context: &Context<'_>,
    inside: &Inside<'_>,
    command: &Command,
    way: Way,
) -> Result<u8, Failure> {
    let request = command.request()?;
    context.wait(async {
        let mut signals = catch(way.terminal)?;
        drive(inside, &request, way, &mut signals).await
    })
}

async fn detach(
    inside: &Inside<'_>,
    command: &Command,
    limit: Option<Duration>,
) -> Result<u8, Failure> {
    let request = command.request()?;
    let started = inside.guest().await?.start_within(&request, limit).await?;
    print(format!("{}\n", started.pid()))?;
    Ok(0)
}

/// The way into a sandbox as a user of it.
pub(super) fn inside<'a>(
    plane: &'a ControlPlane<'a>,
    sandbox: &SandboxArg,
    user: Option<&String>,
) -> Inside<'a> {
    Inside { plane, sandbox: sandbox.sandbox.clone(), user: user.cloned() }
}
