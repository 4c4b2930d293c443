//! From the first word to the exit code, over as many connections as it takes.

use std::time::Duration;

use atelier_api::session::{RunAttach, RunStart, ToServer};
use atelier_api::{ExitCode, Name, Problem};
use atelier_client::{ClientError, ControlPlane, Session};
use tokio::time::{Instant, sleep};

use super::input::Input;
use super::keys::Keys;
use super::leg::{Leg, leg};
use super::output::Output;
use super::signals::{Number, Signals};
use super::terminal::RawMode;
use crate::failure::Failure;
use crate::output::{note, print};

/// How much is said beside the command's output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Whether a terminal shows progress.
    pub progress: bool,
    pub quiet: bool,
    pub verbose: bool,
}

/// What is asked for, and what this terminal has to do with it.
#[derive(Debug)]
pub(crate) struct Task {
    /// The first word.
    pub first: ToServer,
    /// The environment.
    pub env: Name,
    /// The far host that it is on.
    pub on: Option<String>,
    /// How one goes back to it when the connection was lost, but for its number and the place; one can't
    /// when absent.
    pub back: Option<RunAttach>,
    /// Whether this process's terminal is to be the command's, if that has one.
    pub terminal: bool,
    /// Whether standard input is sent.
    pub stdin: bool,
    /// Whether signals are passed on to a command without a terminal.
    pub signals: bool,
    /// Whether nobody waits for the command's end.
    pub detach: bool,
    /// The keys that leave it running; none for what can't be found again.
    pub keys: Option<Keys>,
}

impl Task {
    /// A command in an environment.
    pub(crate) fn start(start: RunStart, on: Option<String>, keys: Keys) -> Self {
        let back = RunAttach {
            env: start.env.clone(),
            project: start.project.clone(),
            pid: None,
            offset: None,
            leave: false,
        };
        Self {
            env: start.env.clone(),
            on,
            back: Some(back),
            terminal: start.terminal.is_some(),
            stdin: start.stdin,
            signals: true,
            detach: start.detach,
            keys: Some(keys),
            first: ToServer::Start(Box::new(start)),
        }
    }

    /// Going to a command that runs, which goes on when this is over. Nothing of this terminal is the
    /// command's.
    pub(crate) fn watch(attach: RunAttach, on: Option<String>) -> Self {
        Self {
            env: attach.env.clone(),
            on,
            back: Some(attach.clone()),
            first: ToServer::Attach(attach),
            terminal: false,
            stdin: false,
            signals: false,
            detach: false,
            keys: None,
        }
    }
}

/// What lasts from one connection to the next.
#[derive(Debug)]
pub(super) struct Run {
    pub task: Task,
    pub manner: Manner,
    pub signals: Signals,
    pub input: Input,
    pub output: Output,
    pub raw: Option<RawMode>,
    /// The command's number, once it runs.
    pub pid: Option<u32>,
    /// The offset of the first byte of output that has not come yet.
    pub position: u64,
    /// Whether the command was left running.
    left: bool,
}

/// Runs a command and gives its exit code.
pub(crate) async fn drive(
    plane: &ControlPlane<'_>,
    task: Task,
    manner: Manner,
) -> Result<u8, Failure> {
    let signals = Signals::catch(task.terminal).map_err(|e| {
        Problem::new("system", ExitCode::Failed, format!("signals cannot be caught: {e}"))
    })?;
    let mut run = Run {
        task,
        manner,
        signals,
        input: Input::default(),
        output: Output::default(),
        raw: None,
        pid: None,
        position: 0,
        left: false,
    };
    let result = run.finish(plane).await;
    run.raw = None;
    if matches!(result, Err(Failure::BrokenPipe)) {
        return result;
    }
    // A signal that comes now means that nobody wants to wait for the rest.
    let written = tokio::select! {
        written = run.output.finish() => written,
        signal = run.signals.next_ending() => return Ok(signalled(signal)),
    };
    let code = result?;
    written?;
    if run.left {
        run.say_where()?;
    }
    Ok(code)
}

/// The exit code of a program that a signal ended.
fn signalled(signal: Number) -> u8 {
    u8::try_from(128 + signal).unwrap_or(255)
}

impl Run {
    async fn finish(&mut self, plane: &ControlPlane<'_>) -> Result<u8, Failure> {
        let mut session = match self.begin(plane).await? {
            Ok(session) => session,
            Err(signal) => return Ok(signalled(signal)),
        };
        loop {
            let next = match leg(self, session).await? {
                Leg::Ended(code) => return Ok(code),
                Leg::Aborted(signal) => return Ok(signalled(signal)),
                Leg::Left => {
                    self.left = true;
                    return Ok(0);
                }
                Leg::Lost { .. } if self.task.back.is_none() => return Err(lost_for_ever()),
                // Before it was started, only a server that says so has surely not started it.
                Leg::Lost { told: false } if self.pid.is_none() => return Err(lost_early()),
                Leg::Lost { .. } => match self.pid {
                    Some(pid) => self.go_back(plane, pid).await?,
                    None => self.begin(plane).await?,
                },
            };
            session = match next {
                Ok(session) => session,
                Err(signal) => return Ok(signalled(signal)),
            };
        }
    }

    /// Where a command that was left is found again.
    fn say_where(&self) -> Result<(), Failure> {
        let Some(pid) = self.pid else { return Ok(()) };
        let env = &self.task.env;
        if self.task.detach {
            print(format!("{pid}\n"))?;
        }
        if !self.manner.quiet {
            let on = self.task.on.as_ref().map(|host| format!("--on {host} ")).unwrap_or_default();
            note(&format!(
                "it runs on: atelier {on}attach {env} {pid}, atelier {on}env logs -f {env}"
            ));
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        plane: &ControlPlane<'_>,
    ) -> Result<Result<Session, Number>, Failure> {
        tokio::select! {
            session = plane.session(&self.task.first) => Ok(Ok(session?)),
            signal = self.signals.next_ending() => Ok(Err(signal)),
        }
    }

    /// Finds the command again through whichever control plane is there, or comes to be.
    async fn go_back(
        &mut self,
        plane: &ControlPlane<'_>,
        pid: u32,
    ) -> Result<Result<Session, Number>, Failure> {
        if self.manner.verbose {
            note("the connection was lost; going back to the command");
        }
        let Some(back) = self.task.back.clone() else { return Err(lost_for_ever()) };
        let first =
            ToServer::Attach(RunAttach { pid: Some(pid), offset: Some(self.position), ..back });
        let deadline = Instant::now() + plane.patience();
        let attempts = async {
            loop {
                match plane.session(&first).await {
                    Err(error) if error.is_connection() && Instant::now() < deadline => {
                        sleep(Duration::from_millis(20)).await;
                    }
                    other => return other,
                }
            }
        };
        tokio::select! {
            session = attempts => session.map(Ok).map_err(|error| given_up(error, pid)),
            signal = self.signals.next_ending() => Ok(Err(signal)),
        }
    }
}

fn lost_early() -> Failure {
    let error = ClientError::Lost("it ended before the command was known to run".into());
    Failure::from(error)
}

fn lost_for_ever() -> Failure {
    let detail = "the connection to the control plane was lost, and with it the way to the command";
    Failure::from(Problem::new("control_plane.lost", ExitCode::Failed, detail))
}

fn given_up(error: ClientError, pid: u32) -> Failure {
    let mut problem = Problem::from(error);
    problem.detail = format!(
        "the connection to the command (number {pid} in its environment) was lost, and it was \
         not found again: {}",
        problem.detail
    );
    problem.hint("`atelier env logs` shows what it wrote").into()
}
