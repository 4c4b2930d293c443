//! The E2B API at the root of the API's port: the same operations, in another's words.

use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::{Operation, Problem};
use atelier_auth::Caller;
use atelier_e2b::{Door, E2b, Volumes};
use atelier_guest::client::Guest;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::HOST;
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::app::App;
use crate::peer::Peer;
use crate::table;

/// Calls in one caller's name.
#[derive(Clone)]
pub(crate) struct CallerDoor {
    app: Arc<App>,
    caller: Caller,
    base_url: String,
}

impl Door for CallerDoor {
    async fn call<O: Operation>(&self, input: O::Input) -> Result<O::Output, Problem> {
        table::call::<O>(&self.app, &self.caller, input).await
    }

    async fn guest(&self, sandbox: &str) -> Result<Guest, Problem> {
        Ok(self.app.fleet.enter(sandbox, true).await?.guest)
    }

    fn domain(&self) -> Option<String> {
        self.app.sandbox_domain.clone()
    }

    fn uploads(&self) -> PathBuf {
        self.app.uploads.clone()
    }

    fn base_url(&self) -> String {
        self.base_url.clone()
    }
}

impl CallerDoor {
    /// A door for what the control plane does without being asked.
    pub(crate) fn of_control_plane(app: Arc<App>) -> Self {
        Self { app, caller: Caller::ControlPlane, base_url: String::new() }
    }
}

/// Files of volumes.
struct ByToken(Arc<App>);

impl Volumes for ByToken {
    fn folder(&self, id: &str, token: &str) -> Option<PathBuf> {
        self.0.fleet.volume_folder(id, token)
    }
}

/// Routes of the E2B API.
pub(crate) struct Routers {
    /// For callers that were let in.
    pub(crate) guarded: Router,
    /// For everybody.
    pub(crate) open: Router,
}

/// The routes, with a door for each caller.
pub(crate) fn routers(app: &Arc<App>, e2b: &E2b) -> Routers {
    let door = middleware::from_fn_with_state(app.clone(), open_door);
    Routers {
        guarded: e2b.router::<CallerDoor>().layer(door),
        open: e2b.open_router(Arc::new(ByToken(app.clone()))),
    }
}

/// Gives each request that was let in a door of its caller's.
async fn open_door(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Some(caller) = request.extensions().get::<Caller>().cloned() {
        let base_url = base_url(&request);
        request.extensions_mut().insert(CallerDoor { app, caller, base_url });
    }
    next.run(request).await
}

/// The API's root as the caller reaches it.
fn base_url(request: &Request) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    let host = header("x-forwarded-host").or_else(|| header(HOST.as_str())).unwrap_or("localhost");
    let inside = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .is_some_and(|peer| matches!(peer.0, Peer::Ingress));
    let scheme = header("x-forwarded-proto").filter(|_| inside).unwrap_or("http");
    format!("{scheme}://{host}")
}
