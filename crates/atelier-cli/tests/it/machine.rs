//! A home whose control plane has one sandbox: a real guest on this machine, behind a control plane
//! that passes its calls on as the real one does, and notes every other call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use atelier_api::{ExitCode, Problem};
use atelier_client::guest::client::Guest;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::support::atelier;

const SOCKET: &str = "GUEST_OF_TEST";
const GUEST: &str = "/api/v1/sandboxes/dev/guest";

type Body = BoxBody<Bytes, hyper::Error>;

/// Not a test: what [`Machine`] runs as its guest. Run alone it does nothing.
#[test]
#[ignore = "the guest of other tests"]
fn guest() {
    let Ok(socket) = std::env::var(SOCKET) else { return };
    let listener = atelier_guest::Listener::open(&format!("unix:{socket}")).unwrap();
    let home = Path::new(&socket).parent().unwrap().join("inside");
    let options = atelier_guest::ServeOptions {
        env: vec![("HOME".into(), home.display().to_string())],
        stop_grace: Duration::from_secs(1),
        ..atelier_guest::ServeOptions::default()
    };
    atelier_guest::serve_on(listener, options).unwrap();
}

/// What came: method, path with query, body.
pub type Call = (String, String, Value);

/// What the control plane answers, by method and path, and what it was asked.
#[derive(Default)]
pub struct Plane {
    pub answers: Mutex<HashMap<String, Value>>,
    pub calls: Mutex<Vec<Call>>,
}

/// The home.
pub struct Machine {
    dir: tempfile::TempDir,
    guest: Child,
    pub plane: Arc<Plane>,
    _runtime: tokio::runtime::Runtime,
}

impl Machine {
    /// The guest finds only what is in `path`, a list of folders.
    pub fn with_path(path: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("inside")).unwrap();
        let socket = dir.path().join("guest.sock");
        let guest = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "machine::guest", "--ignored"])
            .env(SOCKET, &socket)
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "the guest does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let plane = Arc::new(Plane::default());
        let listener = {
            let _guard = runtime.enter();
            tokio::net::UnixListener::bind(dir.path().join("atelier.sock")).unwrap()
        };
        runtime.spawn(serve(listener, socket, Arc::clone(&plane)));
        Self { dir, guest, plane, _runtime: runtime }
    }

    pub fn new() -> Self {
        Self::with_path(&std::env::var("PATH").unwrap())
    }

    /// The folder of the caller.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The home folder inside.
    pub fn inside(&self, name: &str) -> PathBuf {
        self.dir.path().join("inside").join(name)
    }

    pub fn atelier(&self, arguments: &[&str]) -> Command {
        atelier(self.dir.path(), arguments)
    }

    /// Says what the control plane answers to a call.
    pub fn answer(&self, call: &str, answer: Value) {
        self.plane.answers.lock().unwrap().insert(call.to_owned(), answer);
    }

    /// Whatever was asked with this method and path last.
    pub fn asked(&self, call: &str) -> Option<Value> {
        let calls = self.plane.calls.lock().unwrap();
        let same = |(method, path, _): &&Call| format!("{method} {path}") == call;
        calls.iter().rev().find(same).map(|(_, _, body)| body.clone())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.guest);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.guest.wait();
    }
}

/// A sandbox as the control plane shows it.
pub fn sandbox(name: &str) -> Value {
    json!({
        "id": "0123456789abcdef0123456789abcdef", "name": name, "state": "running",
        "runtime": "oci", "image": "alpine:3.20", "created_at": "2026-01-01T00:00:00Z",
        "started_at": "2026-01-01T00:00:00Z", "on_expiry": "kill", "auto_resume": false,
        "metadata": {}, "resources": {}, "public": false,
        "network": {"mode": "open"}, "access_token": "t", "notes": ["a note"],
        "url": "http://{port}-0123.localhost:4780",
    })
}

async fn serve(listener: tokio::net::UnixListener, guest: PathBuf, plane: Arc<Plane>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (guest, plane) = (guest.clone(), Arc::clone(&plane));
        let service = service_fn(move |request: Request<Incoming>| {
            let (guest, plane) = (guest.clone(), Arc::clone(&plane));
            async move {
                let response = match request.uri().path().starts_with(GUEST) {
                    true => pass_on(request, &guest).await,
                    false => answer(request, &plane).await,
                };
                Ok::<_, Infallible>(response)
            }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .max_buf_size(512 << 10)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(serving.with_upgrades());
    }
}

async fn pass_on(mut request: Request<Incoming>, guest: &Path) -> Response<Body> {
    let target = request.uri().path_and_query().unwrap().as_str()[GUEST.len()..].to_owned();
    *request.uri_mut() = target.parse().unwrap();
    let upgrade =
        request.headers().contains_key("upgrade").then(|| hyper::upgrade::on(&mut request));
    let stream = TokioIo::new(Guest::new(guest).dial().await.unwrap());
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(512 << 10).handshake(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut response = sender.send_request(request).await.unwrap();
    if let Some(upgrade) = upgrade.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS)
    {
        let inner = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let (outer, inner) = tokio::try_join!(upgrade, inner).unwrap();
            let (mut outer, mut inner) = (TokioIo::new(outer), TokioIo::new(inner));
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
    response.map(BodyExt::boxed)
}

async fn answer(request: Request<Incoming>, plane: &Plane) -> Response<Body> {
    let (method, path) = (request.method().to_string(), request.uri().to_string());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = format!("{method} {path}");
    plane.calls.lock().unwrap().push((method, path, body));
    let (status, answer) = match plane.answers.lock().unwrap().get(&call) {
        Some(answer) => (StatusCode::OK, answer.clone()),
        None => {
            let problem = Problem::new("test.absent", ExitCode::NotFound, format!("no {call}"));
            (StatusCode::NOT_FOUND, json!(problem))
        }
    };
    let body = Full::new(Bytes::from(answer.to_string())).map_err(|never| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}
