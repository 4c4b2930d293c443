//! The bridge: to an agent a server on standard input and output, to a remote server its client, with
//! headers that the agent never sees. Messages pass as they are; only what the transport needs is read.

mod headers;
mod legacy;
mod message;
mod session;
mod streamable;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::error::{McpError, Result};
use crate::limits::Limits;
use crate::lines::{Line, Lines};
use crate::oauth::OAuth;
use crate::target::{Target, address, headers as header_map};
use legacy::Older;
use message::Message;
use streamable::{Outcome, Streamable};
use wire::Wire;

/// Lines on their way to the agent.
const QUEUE: usize = 64;

/// How a bridge works.
#[derive(Clone, Default)]
pub struct BridgeOptions {
    /// Its limits. `close` is also how long answers are waited for when the agent has closed its side.
    pub limits: Limits,
    /// What must not be in any message of ours, besides the target's headers.
    pub secrets: Vec<String>,
    /// Where a permission for the server is stored. A bridge asks no user.
    pub oauth: Option<OAuth>,
    /// Hears what goes wrong where no answer can carry it; a line each, without secrets.
    pub note: Option<Note>,
}

/// Hears a line.
pub type Note = Arc<dyn Fn(&str) + Send + Sync>;

/// Bridges standard input and output, until the agent closes its side or we are asked to end (SIGTERM,
/// SIGINT). A thread may still wait for standard input afterwards: end the process.
///
/// # Errors
/// [`McpError`]: the target is no remote server, or the only connection to it broke.
pub async fn bridge_stdio(target: &Target, options: &BridgeOptions) -> Result<()> {
    let failed = |source| McpError::Serve { doing: "hear signals", source };
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = async {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    bridge(target, tokio::io::stdin(), tokio::io::stdout(), stop, options).await
}

/// Bridges any pair of streams, until `input` or the server ends, or `stop` is ready.
///
/// # Errors
/// [`McpError`]: the target is no remote server, or the only connection to it broke.
pub async fn bridge(
    target: &Target,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    stop: impl Future<Output = ()>,
    options: &BridgeOptions,
) -> Result<()> {
    let (out, lines) = mpsc::channel(QUEUE);
    let writer = tokio::spawn(write(lines, output));
    let done = {
        let mut bridge = Bridge::new(target, out, options).await?;
        let mut input = Lines::new(input, options.limits.message);
        let done = tokio::select! {
            done = bridge.run(&mut input) => done,
            () = stop => Ok(()),
        };
        bridge.close().await;
        done
    };
    // Every sender is gone: what is queued is written, as far as the agent still reads.
    let _ = tokio::time::timeout(options.limits.close, writer).await;
    done
}

/// Writes lines to the agent. One who reads no more has ended us anyhow.
async fn write(mut lines: mpsc::Receiver<String>, mut output: impl AsyncWrite + Unpin) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

/// A bridge at work.
struct Bridge {
    streamable: Arc<Streamable>,
    /// Once it is known that the server has only the older transport.
    older: Option<Older>,
    /// Requests that wait for their answers.
    tasks: JoinSet<String>,
    waiting: HashMap<String, AbortHandle>,
}

impl Bridge {
    async fn new(
        target: &Target,
        out: mpsc::Sender<String>,
        options: &BridgeOptions,
    ) -> Result<Self> {
        let (url, with, older) = match target {
            Target::Http { url, headers } => (url, headers, false),
            Target::Sse { url, headers } => (url, headers, true),
            Target::Stdio { .. } => {
                let why = "a bridge is for remote servers: this one runs here".to_owned();
                return Err(McpError::Target { why });
            }
        };
        let url = address(url)?;
        let masks = target.masks(&options.secrets);
        let wire = Wire::new(url, header_map(with)?, masks, out, options).await?;
        let streamable = Arc::new(Streamable::new(wire));
        let older = match older {
            true => Some(streamable.older().await?),
            false => None,
        };
        Ok(Self { streamable, older, tasks: JoinSet::new(), waiting: HashMap::new() })
    }

    /// Until the agent closes its side, or the older transport's only stream breaks.
    async fn run<R: AsyncRead + Unpin>(&mut self, input: &mut Lines<R>) -> Result<()> {
        loop {
            let line = tokio::select! {
                line = input.next() => line,
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(id) = ended {
                        self.waiting.remove(&id);
                    }
                    continue;
                }
                why = lost(&mut self.older) => return Err(why),
            };
            match line {
                Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                Line::Whole(line) => self.take(line).await?,
                Line::TooLong => self.streamable.complain("a line longer than allowed").await,
                Line::End => return Ok(()),
            }
        }
    }

    async fn take(&mut self, line: Vec<u8>) -> Result<()> {
        let message = match Message::of(line) {
            Ok(message) => message,
            Err(why) => {
                self.streamable.complain(&why).await;
                return Ok(());
            }
        };
        if let Some(older) = &mut self.older {
            older.send(message).await;
            return Ok(());
        }
        if message.method() == Some("initialize") {
            // What comes after it needs the session that it opens.
            return self.initialize(message).await;
        }
        if let Some(id) = self.streamable.cancels(&message) {
            // Without sessions, a request is cancelled by ending its stream.
            if let Some(task) = self.waiting.remove(&id) {
                task.abort();
            }
            return Ok(());
        }
        match message.request_id() {
            Some(id) => self.ask(id, message),
            None => self.streamable.notify(message).await,
        }
        Ok(())
    }

    /// Passes a request on, beside the others.
    fn ask(&mut self, id: String, message: Message) {
        let (streamable, key) = (self.streamable.clone(), id.clone());
        let task = self.tasks.spawn(async move {
            streamable.request(message).await;
            key
        });
        self.waiting.insert(id, task);
    }

    async fn initialize(&mut self, message: Message) -> Result<()> {
        let Outcome::NotThere(message, why) = self.streamable.initialize(message).await else {
            return Ok(());
        };
        match self.streamable.older().await {
            Ok(mut older) => {
                older.send(message).await;
                self.older = Some(older);
            }
            Err(_) => self.streamable.refuse(&message, &why).await,
        }
        Ok(())
    }

    /// Waits for answers that are under way, and ends the session.
    async fn close(mut self) {
        let patience = self.streamable.patience();
        let answered = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(patience, answered).await;
        if let Some(older) = &mut self.older {
            older.drain(patience).await;
        }
        self.tasks.shutdown().await;
        self.streamable.end().await;
    }
}

/// The end of the older transport's stream; never where there is none.
async fn lost(older: &mut Option<Older>) -> McpError {
    match older {
        Some(older) => older.lost().await,
        None => std::future::pending().await,
    }
}
