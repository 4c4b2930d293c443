//! Bytes and words between a command and its user: output one way, input, signals and sizes the other.

use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::session::{Chunk, STDIN_WINDOW, ToClient, ToServer};
use atelier_run::{Attached, Ended, Input, Output, ServiceCommand};
use axum::body::Bytes;
use axum::extract::ws::Message;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, watch};

use super::{Sink, Source, say};
use crate::app::App;

/// A command that can be followed.
pub(super) trait Followed {
    fn input(&self) -> Input;
    async fn next(&mut self) -> Result<Output, Problem>;
}

impl Followed for Attached {
    fn input(&self) -> Input {
        Self::input(self)
    }

    async fn next(&mut self) -> Result<Output, Problem> {
        Self::next(self).await
    }
}

impl Followed for ServiceCommand {
    fn input(&self) -> Input {
        Self::input(self)
    }

    async fn next(&mut self) -> Result<Output, Problem> {
        Self::next(self).await
    }
}

/// How following a command came to an end.
pub(super) enum End {
    Ended(Ended),
    Left(Left),
    Stopping,
}

/// How a client left.
pub(super) enum Left {
    /// It said so.
    Gone,
    /// Its connection ended.
    Lost,
    Detached,
}

/// Carries bytes both ways until the command ends, the client goes, or the control plane stops.
pub(super) async fn follow(
    app: &Arc<App>,
    followed: &mut impl Followed,
    terminal: bool,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<End, Problem> {
    let input = followed.input();
    let (queue, typed) = mpsc::unbounded_channel();
    let (taken, news) = watch::channel(0);
    Ok(tokio::select! {
        ended = send_output(followed, sink, news) => End::Ended(ended?),
        left = receive(source, &input, &queue, &taken) => End::Left(left),
        () = pass_on(typed, &input, terminal, &taken) => End::Left(Left::Gone),
        () = app.stop.cancelled() => End::Stopping,
    })
}

/// Sends what the command writes, and in between how much of its input it has taken.
async fn send_output(
    followed: &mut impl Followed,
    sink: &mut Sink,
    mut taken: watch::Receiver<u64>,
) -> Result<Ended, Problem> {
    loop {
        let output = tokio::select! {
            output = followed.next() => output?,
            Ok(()) = taken.changed() => {
                let bytes = *taken.borrow_and_update();
                say(sink, &ToClient::StdinTaken { bytes }).await;
                continue;
            }
        };
        match output {
            Output::Data { stream, next, bytes } => {
                let chunk = Chunk { stream, next, bytes: &bytes }.encode();
                if sink.send(Message::Binary(Bytes::from(chunk))).await.is_err() {
                    // Nobody reads; the other half of the session sees the end of it.
                    std::future::pending::<()>().await;
                }
            }
            Output::Gap { bytes } => say(sink, &ToClient::Gap { bytes }).await,
            Output::Ended(ended) => return Ok(ended),
        }
    }
}

/// What waits for the command to read.
enum Typed {
    Bytes(Bytes),
    Close,
}

/// Hears the client, whatever the command does with its input: a signal must get through to one
/// that reads nothing. Ends when the client has gone.
async fn receive(
    source: &mut Source,
    input: &Input,
    queue: &mpsc::UnboundedSender<Typed>,
    taken: &watch::Sender<u64>,
) -> Left {
    let mut received = 0;
    while let Some(Ok(message)) = source.next().await {
        let done = match message {
            Message::Binary(bytes) => {
                received += bytes.len() as u64;
                let _ = queue.send(Typed::Bytes(bytes));
                wait_for_room(received, taken).await;
                Ok(())
            }
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(ToServer::Resize(size)) => input.resize(size).await,
                Ok(ToServer::Signal { signal }) => input.signal(signal).await,
                Ok(ToServer::CloseStdin {}) => {
                    let _ = queue.send(Typed::Close);
                    Ok(())
                }
                Ok(ToServer::Detach {}) => return Left::Detached,
                _ => Ok(()),
            },
            Message::Close(_) => return Left::Gone,
            _ => Ok(()),
        };
        // A command that ended takes no more; its end is on the way to the client.
        if let Err(problem) = done {
            tracing::debug!(detail = problem.detail, "not taken");
        }
    }
    Left::Lost
}

/// Our own client keeps to the window, and this never waits for it; another one's input must not
/// fill the memory.
async fn wait_for_room(received: u64, taken: &watch::Sender<u64>) {
    let mut news = taken.subscribe();
    let _ = news.wait_for(|taken| received - taken <= 2 * STDIN_WINDOW).await;
}

/// Passes input on as fast as the command reads it. Never ends by itself.
async fn pass_on(
    mut typed: mpsc::UnboundedReceiver<Typed>,
    input: &Input,
    terminal: bool,
    taken: &watch::Sender<u64>,
) {
    while let Some(typed) = typed.recv().await {
        let (length, done) = match typed {
            Typed::Bytes(bytes) => (bytes.len() as u64, input.send(bytes, terminal).await),
            Typed::Close => (0, input.close().await),
        };
        taken.send_modify(|taken| *taken += length);
        if let Err(problem) = done {
            tracing::debug!(detail = problem.detail, "input was not taken");
        }
    }
    std::future::pending::<()>().await;
}
