//! What E2B has and this server has not: an answer that says so, instead of a bare 404.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::request::Caller;
use crate::{Door, E2b, E2bError};

/// The paths, with what they are about.
const PATHS: &[(&str, &str)] = &[
    ("/teams", "teams"),
    ("/teams/{id}/metrics", "metrics of teams"),
    ("/teams/{id}/metrics/max", "metrics of teams"),
    ("/api-keys", "API keys over this API ('atelier token' makes them)"),
    ("/api-keys/{id}", "API keys over this API ('atelier token' makes them)"),
    ("/access-tokens", "access tokens of users"),
    ("/access-tokens/{id}", "access tokens of users"),
    ("/nodes", "nodes"),
    ("/nodes/{id}", "nodes"),
];

pub(crate) fn routes<D: Door>() -> Router<E2b> {
    let answer = |what| {
        any(move |Caller(_): Caller<D>| async move {
            let answer: Response = E2bError::Unserved(what).into_response();
            answer
        })
    };
    PATHS.iter().fold(Router::new(), |router, (path, what)| router.route(path, answer(*what)))
}
