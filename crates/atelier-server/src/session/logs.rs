//! The session of logs that are followed.

use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::session::{Chunk, ServiceFollow, Stream, ToClient};
use axum::body::Bytes;
use axum::extract::ws::Message;
use futures_util::{SinkExt, StreamExt};

use super::{Sink, Source, say};
use crate::app::App;

/// What services write, until the user has seen enough.
pub(super) async fn logs(
    app: &Arc<App>,
    wanted: ServiceFollow,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<(), Problem> {
    let mut following = app.workshop.follow_services(wanted).await?;
    let mut last = String::new();
    loop {
        let written = tokio::select! {
            written = following.next() => written?,
            () = gone(source) => return Ok(()),
            () = app.stop.cancelled() => {
                say(sink, &ToClient::GoingAway {}).await;
                return Ok(());
            }
        };
        let Some(written) = written else { return Ok(()) };
        if written.container != last {
            last.clone_from(&written.container);
            let (service, container) = (written.service, written.container);
            say(sink, &ToClient::Source { service, container }).await;
        }
        let stream = if written.error { Stream::Stderr } else { Stream::Stdout };
        let chunk = Chunk { stream, next: 0, bytes: &written.bytes }.encode();
        if sink.send(Message::Binary(Bytes::from(chunk))).await.is_err() {
            return Ok(());
        }
    }
}

/// Returns when the client has gone.
async fn gone(source: &mut Source) {
    while let Some(Ok(message)) = source.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}
