//! A peer that answers as Firecracker's API does: the same paths, codes and order of things. It runs
//! no machine; behind its vsock is a guest that is well.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::rules;

/// The port that its guest listens on.
pub const PORT: u32 = 49983;

/// A monitor in a folder of its own; it ends with the value.
pub struct Peer {
    pub dir: PathBuf,
    state: Arc<Mutex<State>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    dir: PathBuf,
    /// `Not started`, `Running` or `Paused`.
    phase: &'static str,
    /// What was put, by path; machine's configuration only.
    config: Map<String, Value>,
    metrics: bool,
    vsock: Option<tokio::task::JoinHandle<()>>,
    requests: Vec<String>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
        if let Some(vsock) = self.state.lock().unwrap().vsock.take() {
            vsock.abort();
        }
    }
}

impl Peer {
    pub fn start(dir: &Path) -> Self {
        let listener = UnixListener::bind(dir.join("api.sock")).unwrap();
        let state = State { dir: dir.to_owned(), phase: "Not started", ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(serve(stream, state));
            }
        });
        Self { dir: dir.to_owned(), state, serving }
    }

    /// Method and path of each request so far but for questions.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

async fn serve(stream: UnixStream, state: Arc<Mutex<State>>) {
    let service = service_fn(|request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let done = state.lock().unwrap().answer(&method, &path, &body);
            let (code, body) = match done {
                Ok(Value::Null) => (204, String::new()),
                Ok(value) => (200, value.to_string()),
                Err(why) => (400, json!({ "fault_message": why }).to_string()),
            };
            let response = Response::builder().status(code).body(Full::new(Bytes::from(body)));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

impl State {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Value, String> {
        if method == "GET" {
            return self.question(path);
        }
        self.requests.push(format!("{method} {path}"));
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            format!("An error occurred when deserializing the json body: {error}.")
        })?;
        rules::body(method, path, &body)
            .map_err(|why| format!("An error occurred when deserializing the json body: {why}."))?;
        match (method, path) {
            ("PUT", "/actions") => self.action(body["action_type"].as_str().unwrap_or_default()),
            ("PUT", "/logger") => Ok(Value::Null),
            ("PUT", "/metrics") => {
                self.before_start()?;
                if std::mem::replace(&mut self.metrics, true) {
                    return Err("Metrics error: cannot be initialized twice".to_owned());
                }
                Ok(Value::Null)
            }
            ("PATCH", "/vm") => self.set_phase(body["state"].as_str().unwrap_or_default()),
            ("PUT", "/snapshot/create") => self.save(&body),
            ("PUT", "/snapshot/load") => self.load(&body),
            ("PATCH", _) => {
                self.after_start()?;
                let put = self.config.contains_key(path);
                if put { Ok(Value::Null) } else { Err(format!("Invalid device: {path}")) }
            }
            _ => self.configure(path, body),
        }
    }

    fn question(&self, path: &str) -> Result<Value, String> {
        match path {
            "/" => Ok(json!({
                "app_name": "Firecracker", "id": "anonymous-instance", "state": self.phase,
                "vmm_version": "1.17.0",
            })),
            "/version" => Ok(json!({ "firecracker_version": "1.17.0" })),
            "/vm/config" => Ok(Value::Object(self.config.clone())),
            _ => Err(format!("Invalid request method and/or path: GET {path}.")),
        }
    }

    fn before_start(&self) -> Result<(), String> {
        if self.phase == "Not started" {
            return Ok(());
        }
        Err("The requested operation is not supported after starting the microVM.".to_owned())
    }

    fn after_start(&self) -> Result<(), String> {
        if self.phase != "Not started" {
            return Ok(());
        }
        Err("The requested operation is not supported before starting the microVM.".to_owned())
    }

    fn configure(&mut self, path: &str, body: Value) -> Result<Value, String> {
        self.before_start()?;
        for name in ["kernel_image_path", "initrd_path", "path_on_host"] {
            if let Some(file) = body.get(name).and_then(Value::as_str)
                && !self.dir.join(file).exists()
            {
                return Err(format!("{file}: No such file or directory (os error 2)"));
            }
        }
        if path == "/machine-config" {
            let cpus = body["vcpu_count"].as_u64().unwrap_or(0);
            if !(1..=32).contains(&cpus) || body["mem_size_mib"].as_u64().unwrap_or(0) == 0 {
                return Err("Machine config error: the vCPU number or the memory is invalid".into());
            }
        }
        self.config.insert(path.to_owned(), body);
        Ok(Value::Null)
    }

    fn action(&mut self, action: &str) -> Result<Value, String> {
        match action {
            "InstanceStart" => {
                self.before_start()?;
                if !self.config.contains_key("/boot-source") {
                    return Err("Start microvm error: no kernel was configured".to_owned());
                }
                self.phase = "Running";
                self.open_vsock()
            }
            "FlushMetrics" => {
                self.after_start()?;
                if self.metrics {
                    Ok(Value::Null)
                } else {
                    Err("Metrics are not configured".into())
                }
            }
            "SendCtrlAltDel" => self.after_start().map(|()| Value::Null),
            other => Err(format!("unknown variant `{other}`")),
        }
    }

    fn set_phase(&mut self, wanted: &str) -> Result<Value, String> {
        self.after_start()?;
        self.phase = match wanted {
            "Paused" => "Paused",
            "Resumed" => "Running",
            other => return Err(format!("unknown variant `{other}`")),
        };
        Ok(Value::Null)
    }

    fn save(&self, body: &Value) -> Result<Value, String> {
        self.after_start()?;
        if self.phase != "Paused" {
            return Err("Create snapshot error: the microVM is not paused".to_owned());
        }
        let tracks = &self.config["/machine-config"]["track_dirty_pages"];
        if body["snapshot_type"] == "Diff" && tracks != &Value::Bool(true) {
            return Err("Create snapshot error: dirty pages are not tracked".to_owned());
        }
        let write = |name: &str, text: String| {
            let path = self.dir.join(body[name].as_str().unwrap_or_default());
            fs::write(path, text).map_err(|error| format!("Create snapshot error: {error}"))
        };
        write("snapshot_path", Value::Object(self.config.clone()).to_string())?;
        write("mem_file_path", "memory".to_owned())?;
        Ok(Value::Null)
    }

    fn load(&mut self, body: &Value) -> Result<Value, String> {
        self.before_start()?;
        if !self.config.is_empty() {
            return Err("Loading a microVM after configuring boot resources is not allowed.".into());
        }
        let file = |value: &Value| self.dir.join(value.as_str().unwrap_or_default());
        let read = |path: PathBuf| {
            fs::read_to_string(path).map_err(|error| format!("Load snapshot error: {error}"))
        };
        read(file(&body["mem_backend"]["backend_path"]))?;
        let saved = read(file(&body["snapshot_path"]))?;
        let mut config: Map<String, Value> = serde_json::from_str(&saved)
            .map_err(|error| format!("Load snapshot error: {error}"))?;
        if let Some(path) = body["vsock_override"].get("uds_path") {
            config["/vsock"]["uds_path"] = path.clone();
        }
        for change in body["network_overrides"].as_array().into_iter().flatten() {
            let path = format!("/network-interfaces/{}", change["iface_id"].as_str().unwrap_or(""));
            let interface =
                config.get_mut(&path).ok_or("Load snapshot error: no such interface")?;
            interface["host_dev_name"] = change["host_dev_name"].clone();
        }
        self.config = config;
        self.phase = if body["resume_vm"] == true { "Running" } else { "Paused" };
        self.open_vsock()
    }

    fn open_vsock(&mut self) -> Result<Value, String> {
        let Some(vsock) = self.config.get("/vsock") else { return Ok(Value::Null) };
        let path = self.dir.join(vsock["uds_path"].as_str().unwrap_or_default());
        let listener = UnixListener::bind(path).map_err(|error| format!("Vsock error: {error}"))?;
        self.vsock = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(guest(stream));
            }
        }));
        Ok(Value::Null)
    }
}

/// The handshake, then a guest that says that it is well to whatever it is asked.
async fn guest(mut stream: UnixStream) {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(_) => return,
        }
    }
    // Nobody listens at another port: the connection just ends.
    if line != format!("CONNECT {PORT}\n").as_bytes() {
        return;
    }
    drop(stream.write_all(b"OK 1073741824\n").await);
    let service = service_fn(|_| async {
        Ok::<_, Infallible>(Response::builder().status(204).body(Full::<Bytes>::default()).unwrap())
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
