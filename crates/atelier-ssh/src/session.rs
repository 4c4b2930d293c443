//! A channel with a process: a shell, a command, or the server of files.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::{Fault, Problem};
use atelier_guest::client::{Guest, GuestError, ProcessStream};
use atelier_guest::wire::{DataEvent, EndEvent, ProcessEvent, Stream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::command::{self, Terminal, What};
use crate::doors::{Doors, Entered, Login};
use crate::inbox::Inbox;
use crate::outbox::{Gone, Outbox};
use crate::signals;

/// What ssh itself ends with when something is wrong that is not the command's.
const FAILED: u32 = 255;
/// End of input, as it is typed in a terminal.
const END_OF_INPUT: &[u8] = &[4];
/// How often, and how far apart, a lost stream is taken up again: a sandbox may be paused.
const ATTEMPTS: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(200);
/// How long a process may go on writing to nobody before it is asked to end.
const UNHEARD: Duration = Duration::from_secs(1);

/// What a client does to a process beside its input.
#[derive(Debug)]
pub(crate) enum Control {
    Resize { cols: u32, rows: u32 },
    Signal(i32),
}

/// What is to be run, and where its bytes come from and go to.
pub(crate) struct Session {
    pub(crate) doors: Arc<dyn Doors>,
    pub(crate) login: Login,
    pub(crate) what: What,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) inbox: Inbox,
    pub(crate) controls: UnboundedReceiver<Control>,
    pub(crate) gone: CancellationToken,
}

/// A process that was started.
struct Running {
    guest: Guest,
    stream: ProcessStream,
    pid: u32,
    terminal: bool,
}

impl Session {
    /// Runs it to its end, whichever side ends first.
    pub(crate) async fn run(mut self, mut outbox: Outbox) {
        let inbox = self.inbox.clone();
        if let Err(Gone) = self.serve(&mut outbox).await.finish(outbox).await {
            tracing::debug!(sandbox = self.login.sandbox, "the client went away");
        }
        inbox.close();
    }

    async fn serve(&mut self, outbox: &mut Outbox) -> Ending {
        let entered = tokio::select! {
            entered = self.doors.enter(&self.login) => entered,
            () = self.gone.cancelled() => return Ending::Gone,
        };
        let entered = match entered {
            Ok(entered) => entered,
            Err(problem) => return Ending::refused(&problem, FAILED),
        };
        let mut running = match self.start(&entered).await {
            Ok(running) => running,
            Err(error) => {
                let code = error.shell_code().and_then(|code| u32::try_from(code).ok());
                return Ending::refused(&error.problem(), code.unwrap_or(FAILED));
            }
        };
        let (pid, terminal, guest) = (running.pid, running.terminal, running.guest.clone());
        let around = async {
            let input = input(&guest, pid, &self.inbox, terminal);
            let controls = control(&guest, pid, &mut self.controls);
            tokio::join!(input, controls).0
        };
        let ended = tokio::select! {
            ended = running.output(outbox) => ended,
            never = around => match never {},
            () = self.gone.cancelled() => Ending::Gone,
        };
        if matches!(ended, Ending::Gone) {
            tokio::spawn(running.hang_up(entered));
        }
        ended
    }

    async fn start(&mut self, entered: &Entered) -> Result<Running, GuestError> {
        let mut env = entered.env.clone();
        env.append(&mut self.env);
        let guest = entered.as_user();
        let request = command::request(&self.what, self.terminal.as_ref(), env);
        let stream = guest.start(&request).await?;
        Ok(Running { pid: stream.pid(), terminal: request.pty.is_some(), guest, stream })
    }
}

/// How a channel ends.
enum Ending {
    Process(EndEvent),
    Refused { lines: Vec<String>, code: u32 },
    Gone,
}

impl Ending {
    fn refused(problem: &Problem, code: u32) -> Self {
        let hints = problem.hints.iter().map(|hint| format!("hint: {hint}"));
        Self::Refused { lines: [problem.detail.clone()].into_iter().chain(hints).collect(), code }
    }

    async fn finish(self, mut outbox: Outbox) -> Result<(), Gone> {
        match self {
            Self::Gone => Err(Gone),
            Self::Refused { lines, code } => {
                for line in lines {
                    outbox.say(&line).await?;
                }
                outbox.exit(code).await
            }
            Self::Process(end) => match end.signal {
                Some(signal) => outbox.killed(signal, end.status.contains("core dumped")).await,
                None => outbox.exit(u32::try_from(end.exit_code).unwrap_or(FAILED)).await,
            },
        }
    }
}

impl Running {
    /// Sends its output until it ended.
    async fn output(&mut self, outbox: &mut Outbox) -> Ending {
        loop {
            let problem = match self.stream.next().await {
                Some(Ok(ProcessEvent::Data(data))) => match send(&data, outbox).await {
                    Ok(()) => continue,
                    Err(Gone) => return Ending::Gone,
                },
                Some(Ok(ProcessEvent::End(end))) => return Ending::Process(end),
                Some(Ok(ProcessEvent::Gap(_))) => {
                    let said = outbox.say("some output was not kept and is missing here").await;
                    match said {
                        Ok(()) => continue,
                        Err(Gone) => return Ending::Gone,
                    }
                }
                Some(Ok(ProcessEvent::Start(_) | ProcessEvent::Keepalive(_))) => continue,
                Some(Err(error)) => error,
                None => GuestError::Unexpected("the stream ended before the process".to_owned()),
            };
            if let Err(problem) = self.take_up(problem).await {
                return Ending::refused(&problem, FAILED);
            }
        }
    }

    /// Follows the process again, from the byte where the stream was lost.
    async fn take_up(&mut self, lost: GuestError) -> Result<(), Problem> {
        let mut why = lost;
        for attempt in 0..ATTEMPTS {
            tokio::time::sleep(BETWEEN * attempt).await;
            match self.guest.connect(self.pid, Some(self.stream.offset())).await {
                Ok(stream) => {
                    self.stream = stream;
                    return Ok(());
                }
                Err(error) => why = error,
            }
        }
        Err(why.problem())
    }

    /// What a process meets whose client is gone, as it would with a server of its own machine:
    /// its terminal hangs up; without one its input ends, and writing to nobody ends it.
    async fn hang_up(mut self, entered: Entered) {
        if self.terminal {
            let _ = self.guest.signal(self.pid, signals::HANGUP).await;
        } else {
            let _ = self.guest.close_stdin(self.pid).await;
            self.let_run_unheard().await;
        }
        drop(entered);
    }

    async fn let_run_unheard(&mut self) {
        let mut told = None::<Instant>;
        while let Some(Ok(event)) = self.stream.next().await {
            if !matches!(event, ProcessEvent::Data(_)) {
                continue;
            }
            let signal = match told {
                None => signals::PIPE,
                Some(since) if since.elapsed() > UNHEARD => signals::HANGUP,
                Some(_) => continue,
            };
            told = Some(Instant::now());
            let _ = self.guest.signal(self.pid, signal).await;
        }
    }
}

async fn send(data: &DataEvent, outbox: &mut Outbox) -> Result<(), Gone> {
    match data.stream {
        Stream::Stdout | Stream::Pty => outbox.out(&data.bytes).await,
        Stream::Stderr => outbox.err(&data.bytes).await,
    }
}

/// Passes input on. Ends never: that there is no more input ends nothing.
async fn input(guest: &Guest, pid: u32, inbox: &Inbox, terminal: bool) -> Infallible {
    if let Err(error) = pass_input(guest, pid, inbox, terminal).await {
        tracing::debug!(%error, pid, "input was not taken");
    }
    // Whoever reads nothing more must not hold up the connection.
    inbox.close();
    pending().await
}

async fn pass_input(
    guest: &Guest,
    pid: u32,
    inbox: &Inbox,
    terminal: bool,
) -> Result<(), GuestError> {
    let unreadable = |source| GuestError::Local { what: "input was lost".to_owned(), source };
    while let Some(bytes) = inbox.take().await.map_err(unreadable)? {
        guest.send_input(pid, bytes, terminal).await?;
    }
    if terminal {
        guest.send_input(pid, END_OF_INPUT, true).await
    } else {
        guest.close_stdin(pid).await
    }
}

/// Passes on what else a client does. Ends never.
async fn control(guest: &Guest, pid: u32, controls: &mut UnboundedReceiver<Control>) -> Infallible {
    while let Some(control) = controls.recv().await {
        let done = match control {
            Control::Resize { cols, rows } => guest.resize(pid, rows, cols).await,
            Control::Signal(number) => guest.signal(pid, number).await,
        };
        if let Err(error) = done {
            tracing::debug!(%error, pid, "a process that ended can't be told more");
        }
    }
    pending().await
}
