//! A server with the E2B API over a world in memory, and a plain HTTP client. The world does what
//! our operations say; a guest in it writes down what it is asked.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod guest;
pub mod http;
pub mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atelier_api::{ExitCode, Operation, Problem};
use atelier_e2b::{Door, E2b, Settings, Volumes, refusal};
use atelier_guest::client::Guest;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

pub use world::World;

/// The key that the server lets in: of the shape that SDKs check.
pub const KEY: &str = "e2b_0123456789abcdef0123456789abcdef01234567";

/// The door into the world.
#[derive(Clone)]
pub struct Fake {
    pub world: Arc<Mutex<World>>,
    pub guest: guest::Script,
    pub folder: PathBuf,
    pub base: String,
}

impl Door for Fake {
    async fn call<O: Operation>(&self, input: O::Input) -> Result<O::Output, Problem> {
        let input = serde_json::to_value(input).unwrap();
        let output = self.world.lock().unwrap().call(O::NAME, &input)?;
        Ok(serde_json::from_value(output).unwrap())
    }

    async fn guest(&self, sandbox: &str) -> Result<Guest, Problem> {
        match self.world.lock().unwrap().state(sandbox) {
            Some("running") => Ok(Guest::new(self.folder.join("guest.sock"))),
            _ => Err(Problem::new("sandbox.not_running", ExitCode::Conflict, "it does not run")),
        }
    }

    fn domain(&self) -> Option<String> {
        Some("sandboxes.test:8443".to_owned())
    }

    fn uploads(&self) -> PathBuf {
        self.folder.join("e2b")
    }

    fn base_url(&self) -> String {
        self.base.clone()
    }
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub door: Fake,
    pub e2b: E2b,
    _folder: Arc<tempfile::TempDir>,
}

impl Server {
    pub async fn start() -> Self {
        Self::again(Arc::new(tempfile::tempdir().unwrap()), Arc::default()).await
    }

    /// Another server over the same folder and the same world, as after a restart.
    pub async fn restarted(&self) -> Self {
        Self::again(self._folder.clone(), self.door.world.clone()).await
    }

    async fn again(folder: Arc<tempfile::TempDir>, world: Arc<Mutex<World>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Fake {
            world,
            guest: guest::start(&folder.path().join("guest.sock")),
            folder: folder.path().to_path_buf(),
            base: format!("http://{address}"),
        };
        let mut settings = Settings::default();
        settings.keep_after = Duration::ZERO;
        settings.settle = Duration::from_millis(50);
        settings.upload_bytes = 1 << 20;
        let e2b = E2b::new(settings);
        let router = guarded(&e2b, door.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, door, e2b, _folder: folder }
    }

    pub async fn get(&self, path: &str) -> http::Answer {
        http::send(self.address, "GET", path, &[], Vec::new()).await
    }

    pub async fn delete(&self, path: &str) -> http::Answer {
        http::send(self.address, "DELETE", path, &[], Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: serde_json::Value) -> http::Answer {
        http::send(self.address, "POST", path, &[], body.to_string().into_bytes()).await
    }
}

/// The world has none.
struct NoVolumes;

impl Volumes for NoVolumes {
    fn folder(&self, _: &str, _: &str) -> Option<PathBuf> {
        None
    }
}

/// The routes behind a guard, and what the ingress would answer for the guest's port.
fn guarded(e2b: &E2b, door: Fake) -> Router {
    let world = door.world.clone();
    let guard = from_fn(move |mut request: Request, next: Next| {
        let door = door.clone();
        async move {
            if request.headers().get("x-api-key").is_none_or(|key| key != KEY) {
                let denied = Problem::new("auth.denied", ExitCode::NotPermitted, "no valid key");
                return refusal(&denied);
            }
            request.extensions_mut().insert(door);
            next.run(request).await
        }
    });
    let ingress = from_fn(move |request: Request, next: Next| {
        let sandbox = request.headers().get("e2b-sandbox-id").cloned();
        let world = world.clone();
        async move {
            let Some(sandbox) = sandbox else { return next.run(request).await };
            let running = world.lock().unwrap().state(sandbox.to_str().unwrap()) == Some("running");
            ingress_answer(running)
        }
    });
    let volumes = Arc::new(NoVolumes);
    e2b.router::<Fake>().layer(guard).merge(e2b.open_router(volumes)).layer(ingress)
}

fn ingress_answer(running: bool) -> Response {
    if running {
        return StatusCode::NO_CONTENT.into_response();
    }
    let gone = serde_json::json!({"code": 502, "message": "the sandbox was not found"});
    (StatusCode::BAD_GATEWAY, axum::Json(gone)).into_response()
}
