//! A command in a sandbox from its start to its exit code: output, input, signals, the terminal.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use atelier_api::session::Stream;
use atelier_api::{ExitCode, Problem};
use atelier_client::ControlPlane;
use atelier_client::guest::client::{Guest, GuestError, ProcessStream};
use atelier_client::guest::wire::{Code, ProcessEvent, StartRequest, Stream as GuestStream};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::output::note;
use crate::run::{Input, Number, Output, RawMode, Signals, is_ending, size};

mod typing;

/// How long a command is looked for whose connection was lost.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a control plane that went has for being replaced by whoever ended it.
const SUCCESSION: Duration = Duration::from_secs(1);
/// How long passing a signal on may take before this process heeds it itself.
const PROMPT: Duration = Duration::from_secs(2);
/// What timeout(1) ends with when the time was over.
const TIME_OVER: u8 = 124;

/// A sandbox, with the way to its guest.
pub(crate) struct Inside<'a> {
    pub plane: &'a ControlPlane<'a>,
    pub sandbox: String,
    pub user: Option<String>,
}

impl Inside<'_> {
    /// Its guest, which has answered.
    pub(crate) async fn guest(&self) -> Result<Guest, Failure> {
        Ok(self.as_user(self.plane.guest(&self.sandbox).await?))
    }

    /// The same for bytes in large numbers, by the shortest way.
    pub(crate) async fn guest_near(&self) -> Result<Guest, Failure> {
        Ok(self.as_user(self.plane.guest_near(&self.sandbox).await?))
    }

    fn again(&self) -> Guest {
        self.as_user(self.plane.guest_again(&self.sandbox))
    }

    fn as_user(&self, guest: Guest) -> Guest {
        match &self.user {
            Some(user) => guest.with_user(user.as_str()),
            None => guest,
        }
    }
}

/// What a command has to do with this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub terminal: bool,
    pub stdin: bool,
    /// The command is killed when this is over.
    pub limit: Option<Duration>,
}

/// Begins to catch the signals that a command may want to hear of.
pub(crate) fn catch(terminal: bool) -> Result<Signals, Failure> {
    Signals::catch(terminal).map_err(|e| {
        Problem::new("system", ExitCode::Failed, format!("signals cannot be caught: {e}")).into()
    })
}

/// The exit code of a program that a signal ended.
pub(crate) fn signalled(signal: Number) -> u8 {
    u8::try_from(128 + signal).unwrap_or(255)
}

/// Runs a command and gives its exit code.
pub(crate) async fn drive(
    inside: &Inside<'_>,
    request: &StartRequest,
    way: Way,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    let begin = async {
        let guest = inside.guest().await?;
        let limit = way.limit;
        guest.start_within(request, limit).await.map_err(not_started)
    };
    let stream = tokio::select! {
        stream = begin => stream?,
        signal = signals.next_ending() => return Ok(signalled(signal)),
    };
    // Without raw mode it is less comfortable, and works; `-t` may ask for that.
    let raw = RefCell::new(way.terminal.then(RawMode::enter).and_then(Result::ok));
    let mut output = Output::default();
    let result = follow(inside, stream, way, signals, &mut output, &raw).await;
    if matches!(result, Err(Failure::BrokenPipe)) {
        return result;
    }
    // The terminal comes back after the last of the output, whose lines end as raw mode wants it.
    // A signal that comes now means that nobody wants to wait for the rest.
    let written = tokio::select! {
        written = output.finish() => written,
        signal = signals.next_ending() => return Ok(signalled(signal)),
    };
    drop(raw);
    let code = result?;
    written.map(|()| code)
}

/// A command that is not there ends as a shell would end.
fn not_started(error: GuestError) -> Failure {
    match error.shell_code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => {
            Failure::from(error).report(false);
            Failure::Code(code)
        }
        None => error.into(),
    }
}

async fn follow(
    inside: &Inside<'_>,
    stream: ProcessStream,
    way: Way,
    signals: &mut Signals,
    output: &mut Output,
    raw: &RefCell<Option<RawMode>>,
) -> Result<u8, Failure> {
    let (guest, pid) = (inside.again(), stream.pid());
    let input = async {
        if way.stdin {
            typing::pass_on(&guest.apart(), pid, way.terminal, Input::default()).await?;
        }
        std::future::pending::<Result<u8, Failure>>().await
    };
    // Once this process has been told to end, what the command still does counts no more.
    let told = Cell::new(None);
    let mut listener = Listener { inside, stream, output, raw, limit: way.limit };
    tokio::select! {
        biased;
        code = listener.listen() => {
            if matches!(code, Err(Failure::BrokenPipe)) {
                // As a reader that is gone ends a command that runs here.
                let _ = timeout(PROMPT, guest.signal(pid, Signal::PIPE.as_raw())).await;
            }
            told.get().map_or(code, |signal| Ok(signalled(signal)))
        }
        signal = heed(&guest, pid, way.terminal, signals, raw, &told) => Ok(signalled(signal)),
        failed = input => failed,
    }
}

struct Listener<'a> {
    inside: &'a Inside<'a>,
    stream: ProcessStream,
    output: &'a mut Output,
    raw: &'a RefCell<Option<RawMode>>,
    limit: Option<Duration>,
}

impl Listener<'_> {
    async fn listen(&mut self) -> Result<u8, Failure> {
        loop {
            match self.stream.next().await {
                Some(Ok(ProcessEvent::Data(data))) => {
                    let stream = match data.stream {
                        GuestStream::Stdout => Stream::Stdout,
                        GuestStream::Stderr => Stream::Stderr,
                        GuestStream::Pty => Stream::Terminal,
                    };
                    self.output.write(stream, data.bytes).await?;
                }
                // As a process's exit status: its low eight bits.
                Some(Ok(ProcessEvent::End(end))) => return Ok((end.shell_code() & 0xff) as u8),
                Some(Ok(ProcessEvent::Gap(gap))) => {
                    let lost = gap.to.unwrap_or(0).saturating_sub(gap.from.unwrap_or(0));
                    self.say(&format!("{lost} bytes of output are too old to be had"));
                }
                Some(Ok(ProcessEvent::Start(_) | ProcessEvent::Keepalive(_))) => {}
                Some(Err(error)) if error.is_connection() => self.go_back(error).await?,
                Some(Err(error)) => return self.ended_by(error),
                None => self.go_back(GuestError::Unexpected("its end is missing".into())).await?,
            }
        }
    }

    fn ended_by(&self, error: GuestError) -> Result<u8, Failure> {
        match (error.connect_code(), self.limit) {
            (Some(Code::DeadlineExceeded), Some(limit)) => {
                let time = atelier_config::units::format_duration(limit);
                self.say(&format!("the command was killed: its time of {time} is over"));
                Ok(TIME_OVER)
            }
            _ => Err(error.into()),
        }
    }

    /// Finds the command again through whichever control plane is there, or comes to be.
    async fn go_back(&mut self, mut error: GuestError) -> Result<(), Failure> {
        let (pid, offset) = (self.stream.pid(), self.stream.offset());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            match self.inside.again().connect(pid, Some(offset)).await {
                Ok(stream) => {
                    self.stream = stream;
                    return Ok(());
                }
                Err(other) if other.may_pass() => error = other,
                Err(other) => return Err(given_up(other, pid)),
            }
            if begin.elapsed() > SUCCESSION {
                // Nobody replaced it: it is started again, and the command is found through it.
                let _ = self.inside.plane.guest(&self.inside.sandbox).await;
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(given_up(error, pid))
    }

    /// A line of our own between the command's; in raw mode the terminal does not go back to the
    /// line's beginning by itself.
    fn say(&self, text: &str) {
        let end = if self.raw.borrow().is_some() { "\r" } else { "" };
        note(&format!("{text}{end}"));
    }
}

fn given_up(error: GuestError, pid: u32) -> Failure {
    let mut problem = error.into_problem();
    problem.detail = format!(
        "the connection to the command (process {pid} of the sandbox) was lost, and it was not \
         found again: {}",
        problem.detail
    );
    problem.hint("`atelier sandbox logs` shows what it wrote, if it is there still").into()
}

/// Deals with signals until one ends this process.
async fn heed(
    guest: &Guest,
    pid: u32,
    terminal: bool,
    signals: &mut Signals,
    raw: &RefCell<Option<RawMode>>,
    told: &Cell<Option<Number>>,
) -> Number {
    loop {
        let number = signals.next().await;
        if number == Signal::WINCH.as_raw() {
            resize(guest, pid).await;
        } else if number == Signal::TSTP.as_raw() {
            if let Some(raw) = raw.borrow().as_ref() {
                raw.restore();
            }
            // What the signal does to programs that do not catch it.
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        } else if number == Signal::CONT.as_raw() {
            if let Some(raw) = raw.borrow().as_ref() {
                let _ = raw.apply();
            }
            resize(guest, pid).await;
        } else if terminal && is_ending(number) {
            told.set(Some(number));
            let _ = timeout(PROMPT, guest.signal(pid, Signal::HUP.as_raw())).await;
            return number;
        } else {
            let passed = timeout(PROMPT, guest.signal(pid, number)).await;
            if matches!(passed, Err(_) | Ok(Err(GuestError::Unreachable { .. })))
                && is_ending(number)
            {
                return number;
            }
        }
    }
}

async fn resize(guest: &Guest, pid: u32) {
    let size = size();
    // A process that ended needs no size.
    let _ = timeout(PROMPT, guest.resize(pid, size.rows.into(), size.columns.into())).await;
}
