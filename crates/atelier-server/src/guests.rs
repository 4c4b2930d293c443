//! The way to a sandbox's guest through our own API: what stands below `GUEST_PATH` is the guest's own
//! protocol, streams and upgrades included. Whoever may call it needs no token of the sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use atelier_api::sandbox::GUEST_NAME;
use atelier_api::{Effect, ExitCode, Problem};
use atelier_auth::Caller;
use atelier_ingress::Peer;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::http::problem;

/// Passes a request on.
pub(crate) async fn pass(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((sandbox, path)): Path<(String, String)>,
    request: Request,
) -> Response {
    match forward(&app, &caller, &sandbox, &path, request).await {
        Ok(response) => response,
        Err(failed) => problem(&failed).into_response(),
    }
}

async fn forward(
    app: &Arc<App>,
    caller: &Caller,
    sandbox: &str,
    path: &str,
    mut request: Request,
) -> Result<Response, Problem> {
    caller.authorise(GUEST_NAME, Effect::Change, app.owner)?;
    if path == "init" {
        return Err(Problem::new(
            "sandbox.guest_path",
            ExitCode::NotPermitted,
            "only the control plane tells a guest what it serves with",
        ));
    }
    let entrance = app.fleet.enter(sandbox, false).await?;
    let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
    let invalid = |e: &dyn std::fmt::Display| {
        Problem::new("request.invalid", ExitCode::Usage, format!("the path can't be used: {e}"))
    };
    *request.uri_mut() = format!("/{path}{query}").parse::<Uri>().map_err(|e| invalid(&e))?;
    // A token of the API is not the sandbox's business; a user's name (Basic) is.
    let bearer = |v: &HeaderValue| v.to_str().is_ok_and(|v| v.starts_with("Bearer "));
    let headers = request.headers_mut();
    if headers.get(header::AUTHORIZATION).is_some_and(bearer) {
        headers.remove(header::AUTHORIZATION);
    }
    headers.remove("x-api-key");
    let value = |text: &str| HeaderValue::from_str(text).map_err(|e| invalid(&e));
    headers.insert("x-access-token", value(&entrance.access_token)?);
    headers.insert(header::HOST, value(&app.guest_host(entrance.id))?);
    let peer = Peer { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls: false };
    Ok(app.proxy.handle(request, peer).await.map(Body::new))
}
