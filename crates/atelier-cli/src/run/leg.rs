//! One connection of a run: bytes, signals and words in both directions at the same time.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::time::Duration;

use atelier_api::session::{Stream, ToClient, ToServer};
use atelier_client::{ClientError, Message, Session, SessionReceiver, SessionSender};
use bytes::Bytes;
use rustix::process::Signal;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::drive::{Manner, Run, Task};
use super::input::Input;
use super::output::Output;
use super::signals::{Number, Signals, is_ending};
use super::terminal::{RawMode, size};
use crate::failure::Failure;
use crate::output::note;

/// Making an environment that takes longer than this is worth a word.
const WORTH_A_WORD: Duration = Duration::from_millis(300);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Leg {
    /// The command ended with this code.
    Ended(u8),
    /// The user leaves it running.
    Left,
    /// This process was told to end by a signal.
    Aborted(Number),
    /// The connection is gone; `told` when the server said so before.
    Lost { told: bool },
}

/// What the two directions tell each other.
#[derive(Debug, Default)]
struct Between {
    runs: Cell<bool>,
    /// Whether this terminal is the command's.
    terminal: Cell<bool>,
    taken: Cell<Option<u64>>,
    news: Notify,
}

/// Follows one connection to its end.
pub(super) async fn leg(run: &mut Run, session: Session) -> Result<Leg, Failure> {
    let (sender, receiver) = session.split();
    let between = Between::default();
    between.runs.set(run.pid.is_some());
    let raw = RefCell::new(run.raw.take());
    between.terminal.set(raw.borrow().is_some());
    let back = run.pid.is_some();
    let mut listener = Listener {
        receiver,
        task: &run.task,
        manner: run.manner,
        output: &mut run.output,
        pid: &mut run.pid,
        position: &mut run.position,
        raw: &raw,
        between: &between,
    };
    let mut speaker = Speaker {
        sender,
        task: &run.task,
        signals: &mut run.signals,
        input: &mut run.input,
        raw: &raw,
        between: &between,
    };
    let end = tokio::select! {
        end = listener.listen() => end,
        end = speaker.speak(back) => {
            speaker.sender.close().await;
            Ok(end)
        }
    };
    run.raw = raw.into_inner();
    end
}

struct Listener<'a> {
    receiver: SessionReceiver,
    task: &'a Task,
    manner: Manner,
    output: &'a mut Output,
    pid: &'a mut Option<u32>,
    position: &'a mut u64,
    raw: &'a RefCell<Option<RawMode>>,
    between: &'a Between,
}

impl Listener<'_> {
    async fn listen(&mut self) -> Result<Leg, Failure> {
        let mut creating: Option<Instant> = None;
        loop {
            let word = async {
                match creating {
                    Some(since) => sleep_until(since + WORTH_A_WORD).await,
                    None => pending().await,
                }
            };
            let message = tokio::select! {
                message = self.receiver.next() => message,
                () = word => {
                    creating = None;
                    note(&format!("making environment {} …", self.task.env));
                    continue;
                }
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(Leg::Lost { told: false }),
                Err(error) if error.is_connection() => return Ok(Leg::Lost { told: false }),
                Err(error) => return Err(error.into()),
            };
            match message {
                Message::Output { stream, next, bytes } => self.output(stream, next, bytes).await?,
                Message::Control(ToClient::Creating {}) => {
                    creating = (self.manner.progress && !self.manner.quiet).then(Instant::now);
                }
                Message::Control(word) => {
                    creating = None;
                    if let Some(end) = self.word(word)? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Passes on what has not come before: a connection may begin with bytes that the last one
    /// had brought already.
    async fn output(&mut self, stream: Stream, next: u64, bytes: Bytes) -> Result<(), Failure> {
        let fresh = usize::try_from(next.saturating_sub(*self.position)).unwrap_or(usize::MAX);
        if fresh == 0 {
            return Ok(());
        }
        *self.position = next;
        let bytes = bytes.slice(bytes.len().saturating_sub(fresh)..);
        self.output.write(stream, bytes).await
    }

    fn word(&mut self, word: ToClient) -> Result<Option<Leg>, Failure> {
        match word {
            ToClient::Started { pid, notes, terminal, .. } => {
                self.started(pid, terminal, &notes);
                if self.task.detach {
                    return Ok(Some(Leg::Left));
                }
            }
            ToClient::Runs {} => self.runs(true),
            ToClient::StdinTaken { bytes } => {
                self.between.taken.set(Some(bytes));
                self.between.news.notify_one();
            }
            ToClient::Gap { bytes } => {
                self.say(&format!("{bytes} bytes of output are too old to be had"));
            }
            ToClient::Exit { code, reason, .. } => {
                if let Some(reason) = reason {
                    self.say(&reason);
                }
                // As a process's exit status: its low eight bits.
                return Ok(Some(Leg::Ended((code & 0xff) as u8)));
            }
            ToClient::Problem { problem } => return Err(problem.into()),
            ToClient::GoingAway {} => return Ok(Some(Leg::Lost { told: true })),
            ToClient::Creating {} | ToClient::Source { .. } => {}
        }
        Ok(None)
    }

    fn started(&mut self, pid: u32, terminal: bool, notes: &[String]) {
        if self.pid.replace(pid).is_some() {
            return;
        }
        if !self.manner.quiet {
            notes.iter().for_each(|text| note(text));
        }
        self.runs(terminal);
    }

    fn runs(&self, terminal: bool) {
        let joined = terminal && self.task.terminal && !self.task.detach;
        if joined {
            // Without raw mode it is less comfortable, and works; `-t` may ask for that.
            *self.raw.borrow_mut() = RawMode::enter().ok();
        }
        self.between.terminal.set(joined);
        self.between.runs.set(true);
        self.between.news.notify_one();
    }

    /// A line of our own between the command's; in raw mode the terminal does not go back to the
    /// line's beginning by itself.
    fn say(&self, text: &str) {
        let end = if self.raw.borrow().is_some() { "\r" } else { "" };
        note(&format!("{text}{end}"));
    }
}

struct Speaker<'a> {
    sender: SessionSender,
    task: &'a Task,
    signals: &'a mut Signals,
    input: &'a mut Input,
    raw: &'a RefCell<Option<RawMode>>,
    between: &'a Between,
}

impl Speaker<'_> {
    /// Speaks until this process is to end, or the user leaves.
    async fn speak(&mut self, back: bool) -> Leg {
        match self.converse(back).await {
            Ok(end) => end,
            // The other direction sees what became of the connection, and the last words.
            Err(_) => Leg::Aborted(self.signals.next_ending().await),
        }
    }

    async fn converse(&mut self, back: bool) -> Result<Leg, ClientError> {
        if let Some(signal) = self.until_it_runs().await {
            return Ok(Leg::Aborted(signal));
        }
        if self.task.stdin {
            self.input.begin();
        }
        if let (true, Some(keys)) = (self.between.terminal.get(), &self.task.keys) {
            self.input.listen_for(keys.clone());
        }
        // A terminal that somebody else sized, and the program in it draws itself anew.
        if back || matches!(self.task.first, ToServer::Attach(_)) {
            self.catch_up().await?;
        }
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => {
                    if let Some(signal) = self.signal(signal).await? {
                        return Ok(Leg::Aborted(signal));
                    }
                }
                () = self.between.news.notified() => {
                    if let Some(total) = self.between.taken.take() {
                        self.input.taken(total);
                    }
                }
                piece = self.input.next() => match piece {
                    Some(bytes) => {
                        self.sender.stdin(bytes).await?;
                        if self.input.has_left() {
                            self.sender.send(&ToServer::Detach {}).await?;
                            return Ok(Leg::Left);
                        }
                    }
                    None => self.sender.send(&ToServer::CloseStdin {}).await?,
                },
            }
        }
    }

    /// Waits for the command; `Some` when a signal comes first.
    async fn until_it_runs(&mut self) -> Option<Number> {
        while !self.between.runs.get() {
            tokio::select! {
                signal = self.signals.next_ending() => return Some(signal),
                () = self.between.news.notified() => {}
            }
        }
        if let Some(total) = self.between.taken.take() {
            self.input.taken(total);
        }
        None
    }

    /// What the server must know of what happened while there was no connection.
    async fn catch_up(&mut self) -> Result<(), ClientError> {
        if self.between.terminal.get() {
            self.sender.send(&ToServer::Resize(size())).await?;
        }
        for piece in self.input.again() {
            self.sender.stdin(piece).await?;
        }
        if self.input.has_ended() {
            self.sender.send(&ToServer::CloseStdin {}).await?;
        }
        Ok(())
    }

    /// Deals with a signal; `Some` when it ends this process.
    async fn signal(&mut self, number: Number) -> Result<Option<Number>, ClientError> {
        if number == Signal::WINCH.as_raw() {
            self.sender.send(&ToServer::Resize(size())).await?;
        } else if number == Signal::TSTP.as_raw() {
            self.suspend();
        } else if number == Signal::CONT.as_raw() {
            self.resume();
            self.sender.send(&ToServer::Resize(size())).await?;
        } else if is_ending(number) && (self.between.terminal.get() || !self.task.signals) {
            return Ok(Some(number));
        } else {
            self.sender.send(&ToServer::Signal { signal: number }).await?;
        }
        Ok(None)
    }

    fn suspend(&self) {
        if let Some(raw) = self.raw.borrow().as_ref() {
            raw.restore();
        }
        // What the signal does to programs that do not catch it.
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
    }

    fn resume(&self) {
        if let Some(raw) = self.raw.borrow().as_ref() {
            let _ = raw.apply();
        }
    }
}
