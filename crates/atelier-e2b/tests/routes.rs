//! The list of routes is what the router answers to.

#![allow(clippy::unwrap_used)]

use atelier_api::{Operation, Problem};
use atelier_e2b::{Door, E2b, ROUTES, Volumes};
use atelier_guest::client::Guest;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::ServiceExt;

/// Nobody is let in, so every route that there is answers with that.
#[derive(Clone)]
struct Closed;

impl Door for Closed {
    async fn call<O: Operation>(&self, _: O::Input) -> Result<O::Output, Problem> {
        unreachable!("no request carries a door")
    }
    async fn guest(&self, _: &str) -> Result<Guest, Problem> {
        unreachable!("no request carries a door")
    }
    fn domain(&self) -> Option<String> {
        None
    }
    fn uploads(&self) -> std::path::PathBuf {
        "/nowhere".into()
    }
    fn base_url(&self) -> String {
        String::new()
    }
}

/// No token opens anything.
struct NoVolumes;

impl Volumes for NoVolumes {
    fn folder(&self, _: &str, _: &str) -> Option<std::path::PathBuf> {
        None
    }
}

#[tokio::test]
async fn every_route_of_the_list_is_there_and_no_other_method() {
    let e2b = E2b::default();
    let router = e2b.router::<Closed>().merge(e2b.open_router(std::sync::Arc::new(NoVolumes)));
    let status = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path.replace(['{', '}'], ""));
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    };
    for (method, path, _) in ROUTES {
        let status = status(method, path).await;
        assert!(
            !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
            "{method} {path}: {status}"
        );
    }
    for (_, path, _) in ROUTES {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let listed = ROUTES.iter().any(|(m, p, _)| *m == method && p == path);
            let there = status(method, path).await != StatusCode::METHOD_NOT_ALLOWED;
            // A fixed word and a parameter may share a path: `/templates/tags` is one `/templates/{id}`.
            assert!(listed || !there, "{method} {path} is served and not listed");
        }
    }
}
