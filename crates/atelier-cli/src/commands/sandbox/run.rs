//! `atelier sandbox run`: a command in a sandbox of its own, which is removed afterwards.

use std::ffi::OsString;

use atelier_api::sandbox::{SandboxCreate, SandboxDetail, SandboxOptions};
use atelier_api::sandbox::{SandboxRemove, SandboxRemoveInput};
use atelier_client::ControlPlane;
use clap::Args;

use super::args::CreateOptions;
use super::exec::IoArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::inside::{Command, Inside, Way, catch, drive, login_shell, signalled};
use crate::output::note;
use crate::progress::working;
use crate::run::{Number, Signals};

const EXAMPLES: &str = "\
Examples:
  atelier sandbox run alpine:3.20 -- uname -a
  atelier sandbox run --network none python:3.12       a shell in it
  tar c src | atelier sandbox run gcc:14 -- sh -c 'tar x && make -C src'

The exit code is the command's own; 128 and the signal's number when a signal ended it.";

/// Arguments of `atelier sandbox run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The command and its arguments; a shell when left out
    #[arg(index = 2, last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
    #[command(flatten)]
    pub io: IoArgs,
    /// Say nothing but what the command says
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub options: CreateOptions,
}

/// Makes it, runs the command, removes it.
pub(crate) fn run(args: &RunArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let options = args.options.options()?;
    let (terminal, stdin) = args.io.look();
    let words = if args.command.is_empty() { login_shell() } else { args.command.clone() };
    let request = Command { words, terminal, stdin, ..Command::default() }.request()?;
    let way = Way { terminal, stdin, limit: None };
    let plane = context.control_plane()?;
    context.wait(async {
        let mut signals = catch(terminal)?;
        let (made, told) = create(&plane, &options, &mut signals).await?;
        if !args.quiet {
            made.notes.iter().for_each(|text| note(text));
        }
        let inside = Inside { plane: &plane, sandbox: made.sandbox.id.clone(), user: None };
        let code = match told {
            Some(signal) => Ok(signalled(signal)),
            None => drive(&inside, &request, way, &mut signals).await,
        };
        let removed = remove(&plane, &made.sandbox.id).await;
        code.and_then(|code| removed.map(|()| code))
    })
}

/// Makes the sandbox. A signal waits until it is known which one is to be removed.
async fn create(
    plane: &ControlPlane<'_>,
    options: &SandboxOptions,
    signals: &mut Signals,
) -> Result<(SandboxDetail, Option<Number>), Failure> {
    let mut told = None;
    let mut made =
        std::pin::pin!(working("making a sandbox", plane.call::<SandboxCreate>(options)));
    loop {
        tokio::select! {
            made = &mut made => return Ok((made?, told)),
            signal = signals.next_ending(), if told.is_none() => told = Some(signal),
        }
    }
}

async fn remove(plane: &ControlPlane<'_>, sandbox: &str) -> Result<(), Failure> {
    let input = SandboxRemoveInput { sandbox: sandbox.to_owned() };
    match plane.call::<SandboxRemove>(&input).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let problem = atelier_api::Problem::from(error);
            // It may have gone by itself: its time was over, or somebody else removed it.
            if problem.exit_code() == atelier_api::ExitCode::NotFound {
                return Ok(());
            }
            Err(problem.hint(format!("remove it with `atelier sandbox rm {sandbox}`")).into())
        }
    }
}
