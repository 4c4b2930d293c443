//! `atelier attach`: back to a command that runs.

use atelier_api::session::RunAttach;
use clap::Args;

use crate::args::{EnvArg, KeysArg};
use crate::context::Context;
use crate::failure::Failure;
use crate::run::{Manner, Task, Terminals, drive};

const EXAMPLES: &str = "\
Examples:
  atelier run -dt agent -- claude      start it by itself, with a terminal
  atelier attach agent                 go to it; ctrl-p ctrl-q leaves it again
  atelier attach agent 42              of several commands, the one with this number

What it wrote before comes first. Leaving, by the keys or because your terminal closes, lets the command go
on. Without a terminal Ctrl-C leaves it as well; with --sig-proxy it is sent to the command.";

/// Arguments of `atelier attach`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// The command's number; needed when several run
    #[arg(value_name = "NUMBER")]
    pub pid: Option<u32>,
    /// Show only what it writes from now on
    #[arg(long)]
    pub no_history: bool,
    /// Do not pass standard input on
    #[arg(long)]
    pub no_stdin: bool,
    /// Pass signals such as Ctrl-C on to a command without a terminal
    #[arg(long)]
    pub sig_proxy: bool,
    #[command(flatten)]
    pub keys: KeysArg,
    /// Say nothing but what the command says
    #[arg(short, long)]
    pub quiet: bool,
}

/// Goes to it.
pub(crate) fn run(args: &AttachArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let terminals = Terminals::look();
    let reference = args.env.reference(context)?;
    let attach = RunAttach {
        env: reference.env,
        project: reference.project,
        pid: args.pid,
        offset: (!args.no_history).then_some(0),
        leave: true,
    };
    let task = Task {
        terminal: terminals.interactive() && !args.no_stdin,
        stdin: !args.no_stdin && terminals.has_input(),
        signals: args.sig_proxy,
        keys: Some(args.keys.keys()),
        ..Task::watch(attach, context.on.clone())
    };
    let manner = Manner { progress: terminals.stderr, quiet: args.quiet, verbose: false };
    let plane = context.control_plane()?;
    context.wait(drive(&plane, task, manner))
}
