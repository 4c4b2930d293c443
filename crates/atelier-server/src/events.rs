//! What happens, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::Effect;
use atelier_api::session::Event;
use atelier_auth::Caller;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;
use crate::http::problem;

/// Sends events from now on, and first those after the id that a client names which comes back.
pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = caller.authorise("events.stream", Effect::Read, app.owner) {
        return problem(&denied.into()).into_response();
    }
    let last: Option<u64> =
        headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let stop = app.stop.clone();
    let events = events(&app, last).take_until(stop.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

fn events(
    app: &App,
    last: Option<u64>,
) -> impl Stream<Item = Result<axum::response::sse::Event, Infallible>> + use<> {
    let (missed, live) = app.workshop.events().subscribe(last);
    let live = stream::unfold(live, |mut live| async move {
        loop {
            match live.recv().await {
                Ok(event) => return Some((event, live)),
                // A reader that is too slow misses events and sees it by the gap in the ids.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    stream::iter(missed).chain(live).map(|event| Ok(encode(&event)))
}

fn encode(event: &Event) -> axum::response::sse::Event {
    axum::response::sse::Event::default()
        .id(event.id.to_string())
        .event(event.kind.clone())
        .data(serde_json::to_string(event).unwrap_or_default())
}
