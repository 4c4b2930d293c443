//! What every request passes before anything is looked at: who calls, and whether their client is
//! of this build.

use std::sync::Arc;

use atelier_api::session::{VERSION_HEADER, VERSION_MISMATCH};
use atelier_api::{API_ROOT, ExitCode, Problem};
use atelier_auth::Caller;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::http::problem;
use crate::peer::Peer;

/// Finds out who calls and leaves it with the request, or refuses.
pub(crate) async fn identify(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller: Caller = match peer.caller(request.headers(), &app.key, &app.tokens).await {
        Ok(caller) => caller,
        // In the words of whoever's path it is.
        Err(denied) if !request.uri().path().starts_with(API_ROOT) => {
            return atelier_e2b::refusal(&denied.into());
        }
        Err(denied) => return problem(&denied.into()).into_response(),
    };
    // A client that names no version is a program of the user's own; ours names its build. A stop
    // is taken from any version: that is how a newer client replaces us.
    let stop =
        request.uri().path().ends_with("/stop") && request.uri().path().matches('/').count() == 3;
    let other =
        request.headers().get(VERSION_HEADER).filter(|v| v.as_bytes() != app.build.as_bytes());
    if let (Peer::Unix { .. }, Some(other), false) = (peer, other, stop) {
        let detail = format!(
            "this control plane is {}, the client is {}",
            app.build,
            String::from_utf8_lossy(other.as_bytes())
        );
        let mismatch = Problem::new(VERSION_MISMATCH, ExitCode::Conflict, detail)
            .hint("stop it with 'atelier stop'; the next command starts its own");
        return problem(&mismatch).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}
