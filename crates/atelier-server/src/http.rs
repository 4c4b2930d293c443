//! The routes: the table's, the sessions', and the few that are neither.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use atelier_api::sandbox::GUEST_PATH;
use atelier_api::session::{EVENTS_PATH, RUN_PATH};
use atelier_api::{API_ROOT, ExitCode, Problem};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router, middleware};

use crate::app::App;
use crate::foreign::Routers;
use crate::peer::Peer;
use crate::{door, events, guests, metrics, openapi, session, signed, table, upstreams};

/// The whole API, ours and that of others.
pub(crate) fn router(app: Arc<App>, foreign: Routers) -> Router {
    let identify = middleware::from_fn_with_state(app.clone(), door::identify);
    let guest = format!("{API_ROOT}{GUEST_PATH}/{{*path}}");
    let own = table::router()
        .route(&format!("{API_ROOT}{RUN_PATH}"), get(session::upgrade))
        .route(&format!("{API_ROOT}{EVENTS_PATH}"), get(events::stream))
        .route(&guest, any(guests::pass))
        .route("/metrics", get(metrics::answer))
        .merge(Router::new().fallback_service(foreign.guarded))
        .method_not_allowed_fallback(not_found)
        .layer(identify)
        // What anybody may know: that we are here, and what we speak.
        .route("/healthz", get(|| async { StatusCode::NO_CONTENT }))
        .route(&format!("{API_ROOT}/openapi.json"), get(|| async { Json(openapi::document()) }))
        .with_state(app.clone());
    own.merge(foreign.open).layer(middleware::from_fn_with_state(app, sandbox_first))
}

/// Requests that name a sandbox by the E2B headers are for that sandbox, whatever their path; those
/// who send them show the sandbox's token, not one of the API.
async fn sandbox_first(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = match peer {
        Peer::Tcp { address, line } => {
            request.extensions_mut().insert(line);
            address
        }
        _ => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    if request.uri().path().starts_with(API_ROOT) {
        return next.run(request).await;
    }
    if upstreams::named_sandbox(request.headers()).is_none() {
        let signer = signed::sandbox(&app, request.method(), request.uri());
        let host = signer.and_then(|id| HeaderValue::from_str(&app.guest_host(id)).ok());
        let Some(host) = host else { return next.run(request).await };
        request.headers_mut().insert(header::HOST, host);
    }
    let peer = atelier_ingress::Peer { address, tls: false };
    app.proxy.handle(request, peer).await.map(Body::new)
}

async fn not_found() -> impl IntoResponse {
    problem(
        &Problem::new(
            "request.no_such_operation",
            ExitCode::NotFound,
            "there is no such operation",
        )
        .hint(format!("see {API_ROOT}/openapi.json for those that there are")),
    )
}

/// A problem as RFC 9457 sends it.
pub(crate) fn problem(problem: &Problem) -> impl IntoResponse + use<> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem.clone()))
}
