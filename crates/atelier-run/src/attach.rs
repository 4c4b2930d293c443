//! A command and the user at the other end: output as it comes, input as it is typed.

use std::time::Duration;

use atelier_api::env::Environment;
use atelier_api::session::{Stream, TerminalSize};
use atelier_api::{ExitCode, Problem};
use atelier_guest::client::{Guest, ProcessStream};
use atelier_guest::wire::{EndEvent, ProcessEvent};
use atelier_sandbox::{LimitEvents, Live};
use bytes::Bytes;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::keep::Recorder;
use crate::services::ServiceInput;

/// How long a command may take to end after its user has gone, when its environment goes too.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A command that somebody follows.
#[derive(Debug)]
pub struct Attached {
    /// Where it runs.
    pub environment: Environment,
    /// Whether the environment is new.
    pub created: bool,
    /// Its number inside.
    pub pid: u32,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Whether it has a terminal.
    pub terminal: bool,
    pub(crate) remove: bool,
    pub(crate) run: Uuid,
    pub(crate) exit_code: Option<i32>,
    pub(crate) noted: Option<JoinHandle<Result<(), Problem>>>,
    pub(crate) met: LimitEvents,
    pub(crate) live: Live,
    pub(crate) stream: ProcessStream,
    /// Held by the one who writes its output down.
    pub(crate) recorder: Option<Recorder>,
}

/// What comes from a command.
#[derive(Debug)]
pub enum Output {
    /// It wrote.
    Data {
        /// To which stream.
        stream: Stream,
        /// The offset after these bytes.
        next: u64,
        /// What.
        bytes: Bytes,
    },
    /// So many bytes are not kept any more.
    Gap {
        /// How many.
        bytes: u64,
    },
    /// It ended.
    Ended(Ended),
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// As a shell would say it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// A limit that it met.
    pub reason: Option<String>,
}

/// The way in.
#[derive(Debug, Clone)]
pub enum Input {
    /// To a command of the environment's sandbox.
    Guest(GuestInput),
    /// To one in a service's container.
    Service(ServiceInput),
}

/// The way to a command of the environment's sandbox.
#[derive(Debug, Clone)]
pub struct GuestInput {
    /// Has a connection of its own: a command that reads no input must not hold up a signal.
    stdin: Guest,
    control: Guest,
    pid: u32,
}

impl Attached {
    /// The way in, for another task.
    #[must_use]
    pub fn input(&self) -> Input {
        let guest = &self.live.guest;
        let (stdin, control) = (guest.apart(), guest.apart());
        Input::Guest(GuestInput { stdin, control, pid: self.pid })
    }

    /// What comes next. After [`Output::Ended`] there is nothing more.
    ///
    /// # Errors
    /// `sandbox.ended` when all of the sandbox went, by a stop or by a limit.
    pub async fn next(&mut self) -> Result<Output, Problem> {
        loop {
            match self.stream.next().await {
                Some(Ok(ProcessEvent::Data(data))) => {
                    let offset = data.offset.unwrap_or_default();
                    if let Some(recorder) = &mut self.recorder {
                        recorder.write(offset, &data.bytes);
                    }
                    let next = offset + data.bytes.len() as u64;
                    return Ok(Output::Data {
                        stream: stream(data.stream),
                        next,
                        bytes: data.bytes,
                    });
                }
                Some(Ok(ProcessEvent::Gap(gap))) => {
                    let bytes = gap.to.unwrap_or_default() - gap.from.unwrap_or_default();
                    return Ok(Output::Gap { bytes });
                }
                Some(Ok(ProcessEvent::End(end))) => return Ok(Output::Ended(self.ended(&end))),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(self.sandbox_ended()),
            }
        }
    }

    fn ended(&mut self, end: &EndEvent) -> Ended {
        let code = end.shell_code();
        self.exit_code = Some(code);
        // A limit is worth a word only to a command that failed.
        let reason = if code == 0 { None } else { self.live.limit_met(self.met) };
        Ended { code, signal: end.signal, reason }
    }

    fn sandbox_ended(&self) -> Problem {
        let limit = self.live.limit_met(self.met).map(|l| format!(": {l}")).unwrap_or_default();
        let detail = format!(
            "the sandbox of {} was stopped while the command ran{limit}",
            self.environment.name
        );
        Problem::new("sandbox.ended", ExitCode::Engine, detail)
    }

    /// Reads to the end; gives the code and the last lines.
    pub(crate) async fn run_to_end(&mut self) -> Result<(i32, String), Problem> {
        let mut tail = Vec::new();
        loop {
            match self.next().await? {
                Output::Data { bytes, .. } => {
                    tail.extend_from_slice(&bytes);
                    let surplus = tail.len().saturating_sub(2000);
                    tail.drain(..surplus);
                }
                Output::Gap { .. } => {}
                Output::Ended(ended) => {
                    return Ok((ended.code, String::from_utf8_lossy(&tail).trim().to_owned()));
                }
            }
        }
    }

    /// Returns when the command is in the database.
    pub(crate) async fn noted(&mut self) {
        if let Some(noted) = self.noted.take() {
            let _ = noted.await;
        }
    }

    /// The user has gone: the command is told, and has a moment to end.
    pub(crate) async fn hang_up(&mut self) {
        let input = self.input();
        let _ = input.signal(nix::libc::SIGHUP).await;
        let drain = async {
            while let Ok(output) = self.next().await {
                if matches!(output, Output::Ended(_)) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, drain).await;
    }
}

impl Input {
    /// Sends bytes, to the terminal if there is one. Comes back when the command has room for them.
    ///
    /// # Errors
    /// When the command takes no more.
    pub async fn send(&self, bytes: Bytes, terminal: bool) -> Result<(), Problem> {
        match self {
            Self::Guest(to) => Ok(to.stdin.send_input(to.pid, bytes, terminal).await?),
            Self::Service(to) => to.send(&bytes).await,
        }
    }

    /// Ends its standard input.
    ///
    /// # Errors
    /// When the command is gone.
    pub async fn close(&self) -> Result<(), Problem> {
        match self {
            Self::Guest(to) => Ok(to.stdin.close_stdin(to.pid).await?),
            Self::Service(to) => to.close().await,
        }
    }

    /// Gives its terminal another size.
    ///
    /// # Errors
    /// When the command is gone.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), Problem> {
        let (rows, columns) = (size.rows, size.columns);
        match self {
            Self::Guest(to) => Ok(to.control.resize(to.pid, rows.into(), columns.into()).await?),
            Self::Service(to) => to.resize(rows, columns).await,
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the command is gone, or the number is no signal.
    pub async fn signal(&self, signal: i32) -> Result<(), Problem> {
        match self {
            Self::Guest(to) => Ok(to.control.signal(to.pid, signal).await?),
            Self::Service(to) => to.signal(signal).await,
        }
    }
}

fn stream(stream: atelier_guest::wire::Stream) -> Stream {
    match stream {
        atelier_guest::wire::Stream::Stdout => Stream::Stdout,
        atelier_guest::wire::Stream::Stderr => Stream::Stderr,
        atelier_guest::wire::Stream::Pty => Stream::Terminal,
    }
}
