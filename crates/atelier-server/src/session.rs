//! Sessions: a WebSocket between the user's terminal and a process in an environment or a service. What it
//! means is in `atelier-run`; here bytes and messages cross over.

mod carry;
mod logs;

use std::sync::Arc;

use atelier_api::env::place;
use atelier_api::session::{EXEC_NAME, LINGERS_HEADER, RUN_NAME, ServiceStart, ToClient, ToServer};
use atelier_api::{Effect, ExitCode, Problem};
use atelier_auth::Caller;
use atelier_run::{Attached, Ended};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};

use self::carry::{End, Left, follow};
use crate::app::App;
use crate::dispatch::audited;
use crate::http::problem;

type Sink = SplitSink<WebSocket, Message>;
type Source = SplitStream<WebSocket>;

/// What a session may begin with.
const FIRST: &str = "the first message must be 'start', 'attach', 'exec' or 'logs'";

/// The largest message that a client may send: its standard input comes in pieces of this size.
const LARGEST: usize = 16 << 20;

/// Takes the request over to a WebSocket.
pub(crate) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Response {
    if let Err(denied) = caller.authorise(RUN_NAME, Effect::Change, app.owner) {
        return problem(&denied.into()).into_response();
    }
    let sessions = app.sessions.clone();
    let lingers = headers.contains_key(LINGERS_HEADER);
    let session = move |socket| sessions.track_future(converse(app, caller, lingers, socket));
    socket.max_message_size(LARGEST).on_upgrade(session).into_response()
}

async fn converse(app: Arc<App>, caller: Caller, lingers: bool, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    if app.stop.is_cancelled() {
        say(&mut sink, &ToClient::GoingAway {}).await;
        let _ = sink.close().await;
        return;
    }
    let result = match first(&mut source).await {
        Ok(hello) => serve(&app, &caller, lingers, hello, &mut sink, &mut source).await,
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
        _ => Err(bad(FIRST)),
    }
}

async fn serve(
    app: &Arc<App>,
    caller: &Caller,
    lingers: bool,
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
                if start.detach {
                    let word = started(&attached);
                    app.workshop.leave(attached).await;
                    say(sink, &word).await;
                    return Ok(());
                }
                let manner = Manner { leave: false, lingers };
                command(app, attached, manner, sink, source).await
            })
            .await
        }
        ToServer::Attach(attach) => {
            let attached = app.workshop.attach(&attach).await?;
            let manner = Manner { leave: attach.leave, lingers };
            command(app, attached, manner, sink, source).await
        }
        ToServer::Exec(start) => {
            let subject = place(&start.env, &start.project);
            audited(app, caller, EXEC_NAME, &subject, in_service(app, &start, sink, source)).await
        }
        ToServer::Logs(wanted) => logs::logs(app, wanted, sink, source).await,
        _ => Err(Problem::new("session.invalid", ExitCode::Usage, FIRST)),
    }
}

fn started(attached: &Attached) -> ToClient {
    ToClient::Started {
        environment: Box::new(attached.environment.clone()),
        created: attached.created,
        pid: attached.pid,
        terminal: attached.terminal,
        notes: attached.notes.clone(),
    }
}

/// What becomes of a command whose client is gone.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// It goes on.
    leave: bool,
    /// It goes on when the client did not say that it goes: it may come back.
    lingers: bool,
}

/// A command of an environment and its user, to the end of either.
async fn command(
    app: &Arc<App>,
    mut attached: Attached,
    manner: Manner,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<(), Problem> {
    say(sink, &ToClient::StdinTaken { bytes: 0 }).await;
    say(sink, &started(&attached)).await;
    let terminal = attached.terminal;
    match follow(app, &mut attached, terminal, sink, source).await? {
        End::Ended(ended) => {
            app.workshop.finish(&mut attached).await?;
            say(sink, &exit(ended)).await;
        }
        End::Left(Left::Detached) => app.workshop.leave(attached).await,
        End::Left(Left::Lost) if manner.lingers => app.workshop.leave(attached).await,
        End::Left(_) if manner.leave => app.workshop.leave(attached).await,
        // The terminal is gone: as with ssh, the command is told.
        End::Left(_) => app.workshop.abandon(attached).await?,
        End::Stopping => say(sink, &ToClient::GoingAway {}).await,
    }
    Ok(())
}

/// A command in a service's container and its user, to the end of either.
async fn in_service(
    app: &Arc<App>,
    start: &ServiceStart,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<(), Problem> {
    let mut running = app.workshop.exec_service(start).await?;
    say(sink, &ToClient::StdinTaken { bytes: 0 }).await;
    say(sink, &ToClient::Runs {}).await;
    match follow(app, &mut running, start.terminal.is_some(), sink, source).await? {
        End::Ended(ended) => say(sink, &exit(ended)).await,
        End::Left(_) => running.hang_up().await,
        // An engine gives nobody back a command whose connection ended.
        End::Stopping => {
            running.hang_up().await;
            return Err(Problem::new(
                "control_plane.stopping",
                ExitCode::Failed,
                "the control plane stops, and with it the way to this command",
            ));
        }
    }
    Ok(())
}

fn exit(ended: Ended) -> ToClient {
    ToClient::Exit { code: ended.code, signal: ended.signal, reason: ended.reason }
}

async fn say(sink: &mut Sink, message: &ToClient) {
    if let Ok(text) = serde_json::to_string(message) {
        let _ = sink.send(Message::Text(text.into())).await;
    }
}
