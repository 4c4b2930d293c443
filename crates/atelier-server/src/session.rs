//! The session of a command: a WebSocket between the user's terminal and a process in an
//! environment. What it means is in `atelier-run`; here bytes and messages cross over.

use std::sync::Arc;

use atelier_api::env::place;
use atelier_api::session::{Chunk, RUN_NAME, STDIN_WINDOW, ToClient, ToServer};
use atelier_api::{Effect, ExitCode, Problem};
use atelier_auth::Caller;
use atelier_run::{Attached, Ended, Input, Output};
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, watch};

use crate::app::App;
use crate::dispatch::audited;
use crate::http::problem;

type Sink = SplitSink<WebSocket, Message>;
type Source = SplitStream<WebSocket>;

/// The largest message that a client may send: its standard input comes in pieces of this size.
const LARGEST: usize = 16 << 20;

/// Takes the request over to a WebSocket.
pub(crate) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    socket: WebSocketUpgrade,
) -> Response {
    if let Err(denied) = caller.authorise(RUN_NAME, Effect::Change, app.owner) {
        return problem(&denied.into()).into_response();
    }
    let sessions = app.sessions.clone();
    let session = move |socket| sessions.track_future(converse(app, caller, socket));
    socket.max_message_size(LARGEST).on_upgrade(session).into_response()
}

async fn converse(app: Arc<App>, caller: Caller, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    if app.stop.is_cancelled() {
        say(&mut sink, &ToClient::GoingAway {}).await;
        let _ = sink.close().await;
        return;
    }
    let result = match first(&mut source).await {
        Ok(hello) => serve(&app, &caller, hello, &mut sink, &mut source).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = result {
        say(&mut sink, &ToClient::Problem { problem }).await;
    }
    let _ = sink.close().await;
}

async fn first(source: &mut Source) -> Result<ToServer, Problem> {
    let bad = |detail: &str| Problem::new("session.invalid", ExitCode::Usage, detail);
    match source.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text)
            .map_err(|e| bad(&format!("the first message is not valid: {e}"))),
        _ => Err(bad("the first message must be 'start' or 'attach'")),
    }
}

async fn serve(
    app: &Arc<App>,
    caller: &Caller,
    hello: ToServer,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<(), Problem> {
    match hello {
        ToServer::Start(start) => {
            let subject = place(&start.env, &start.project);
            audited(app, caller, RUN_NAME, &subject, async {
                let creating = async || say(sink, &ToClient::Creating {}).await;
                let attached = app.workshop.run(&start, creating).await?;
                say(sink, &ToClient::StdinTaken { bytes: 0 }).await;
                say(sink, &started(&attached)).await;
                follow(app, attached, start.terminal.is_some(), sink, source).await
            })
            .await
        }
        ToServer::Attach(attach) => {
            let attached = app.workshop.attach(&attach).await?;
            say(sink, &ToClient::StdinTaken { bytes: 0 }).await;
            say(sink, &started(&attached)).await;
            let terminal = attached.terminal;
            follow(app, attached, terminal, sink, source).await
        }
        _ => Err(Problem::new(
            "session.invalid",
            ExitCode::Usage,
            "the first message must be 'start' or 'attach'",
        )),
    }
}

fn started(attached: &Attached) -> ToClient {
    ToClient::Started {
        environment: Box::new(attached.environment.clone()),
        created: attached.created,
        pid: attached.pid,
        notes: attached.notes.clone(),
    }
}

/// Carries bytes both ways until the command ends, the client goes, or the control plane stops.
async fn follow(
    app: &Arc<App>,
    mut attached: Attached,
    terminal: bool,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<(), Problem> {
    let input = attached.input();
    let (queue, typed) = mpsc::unbounded_channel();
    let (taken, news) = watch::channel(0);
    let ended = tokio::select! {
        ended = send_output(&mut attached, sink, news) => Some(ended?),
        () = receive(source, &input, &queue, &taken) => None,
        () = pass_on(typed, &input, terminal, &taken) => None,
        () = app.stop.cancelled() => {
            say(sink, &ToClient::GoingAway {}).await;
            return Ok(());
        }
    };
    match ended {
        Some(ended) => {
            app.workshop.finish(&mut attached).await?;
            say(sink, &exit(ended)).await;
        }
        // The terminal is gone: as with ssh, the command is told.
        None => {
            attached.hang_up().await;
            app.workshop.finish(&mut attached).await?;
        }
    }
    Ok(())
}

fn exit(ended: Ended) -> ToClient {
    ToClient::Exit { code: ended.code, signal: ended.signal, reason: ended.reason }
}

/// Sends what the command writes, and in between how much of its input it has taken.
async fn send_output(
    attached: &mut Attached,
    sink: &mut Sink,
    mut taken: watch::Receiver<u64>,
) -> Result<Ended, Problem> {
    loop {
        let output = tokio::select! {
            output = attached.next() => output?,
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
) {
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
                _ => Ok(()),
            },
            Message::Close(_) => return,
            _ => Ok(()),
        };
        // A command that ended takes no more; its end is on the way to the client.
        if let Err(problem) = done {
            tracing::debug!(detail = problem.detail, "not taken");
        }
    }
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

async fn say(sink: &mut Sink, message: &ToClient) {
    if let Ok(text) = serde_json::to_string(message) {
        let _ = sink.send(Message::Text(text.into())).await;
    }
}
