//! The routes: the table's, the sessions', and the few that are neither.

use std::sync::Arc;

use atelier_api::session::{EVENTS_PATH, RUN_PATH};
use atelier_api::{API_ROOT, ExitCode, Problem};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};

use crate::app::App;
use crate::{door, events, openapi, session, table};

/// The whole API.
pub(crate) fn router(app: Arc<App>) -> Router {
    table::table()
        .router
        .route(&format!("{API_ROOT}{RUN_PATH}"), get(session::upgrade))
        .route(&format!("{API_ROOT}{EVENTS_PATH}"), get(events::stream))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn_with_state(app.clone(), door::identify))
        // What anybody may know: that we are here, and what we speak.
        .route("/healthz", get(|| async { StatusCode::NO_CONTENT }))
        .route(&format!("{API_ROOT}/openapi.json"), get(|| async { Json(openapi::document()) }))
        .with_state(app)
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
