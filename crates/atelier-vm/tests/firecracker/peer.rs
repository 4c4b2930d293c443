//! A peer that answers as Firecracker's API does: the same paths, codes and order of things. It runs
//! no machine; behind its vsock is a guest that is well, or what a [`Behind`] puts there.

use std::convert::Infallible;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nix::libc;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::rules;

/// The port that its guest listens on.
pub const PORT: u32 = 49983;

/// What stands in for the machine.
pub trait Behind: Send {
    /// Opens what a machine of this configuration has, and starts it, or goes on with it.
    fn start(&mut self, config: &Map<String, Value>) -> Result<(), String>;
    /// Stops it where it is, or lets it go on.
    fn pause(&mut self, paused: bool) -> Result<(), String>;
    /// Brings its disks up to date before it is saved.
    fn flush(&mut self) -> Result<(), String>;
    /// The Unix socket of its guest; without one there is a guest that is just well.
    fn guest(&self) -> Option<PathBuf>;
}

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
    metrics: Option<Metered>,
    vsock: Option<tokio::task::JoinHandle<()>>,
    requests: Vec<String>,
    behind: Option<Box<dyn Behind>>,
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
        Self::with(dir, "api.sock", None)
    }

    pub fn with(dir: &Path, socket: &str, behind: Option<Box<dyn Behind>>) -> Self {
        let listener = UnixListener::bind(dir.join(socket)).unwrap();
        let state = State { dir: dir.to_owned(), phase: "Not started", behind, ..State::default() };
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

    /// Has a device count something.
    pub fn count(&self, device: &'static str, name: &'static str, more: u64) {
        self.state.lock().unwrap().metrics.as_mut().unwrap().count(device, name, more);
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
            ("PUT", "/logger") => {
                let file = self.dir.join(body["log_path"].as_str().unwrap_or_default());
                let opened = fs::File::options().append(true).create(true).open(file);
                opened.map(|_| Value::Null).map_err(|error| format!("Logger error: {error}"))
            }
            ("PUT", "/metrics") => {
                self.before_start()?;
                if self.metrics.is_some() {
                    return Err("Metrics error: cannot be initialized twice".to_owned());
                }
                let path = self.dir.join(body["metrics_path"].as_str().unwrap_or_default());
                let file =
                    Metered::open(&path).map_err(|error| format!("Metrics error: {error}"))?;
                self.metrics = Some(file);
                Ok(Value::Null)
            }
            ("PATCH", "/vm") => self.set_phase(body["state"].as_str().unwrap_or_default()),
            ("PUT", "/snapshot/create") => self.save(&body),
            ("PUT", "/snapshot/load") => self.load(&body),
            ("PATCH", _) => {
                self.after_start()?;
                let Some(device) = self.config.get_mut(path) else {
                    return Err(format!("Invalid device: {path}"));
                };
                for name in ["rate_limiter", "rx_rate_limiter", "tx_rate_limiter"] {
                    update(device, name, &body[name]);
                }
                Ok(Value::Null)
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
            if let Some(file) = body.get(name).and_then(Value::as_str) {
                self.can_open(file, &body)?;
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

    /// A disk that is not read-only is written to; everything is read.
    fn can_open(&self, file: &str, device: &Value) -> Result<(), String> {
        let write = device.get("is_read_only") == Some(&Value::Bool(false));
        let opened = fs::File::options().read(true).write(write).open(self.dir.join(file));
        opened.map(drop).map_err(|error| format!("{file}: {error}"))
    }

    /// The machine begins, or goes on.
    fn run(&mut self) -> Result<Value, String> {
        if let Some(behind) = &mut self.behind {
            behind.start(&self.config)?;
        }
        if let Some(metrics) = &mut self.metrics {
            // A kernel looks at the beginning of each disk.
            let disks = self.config.keys().filter(|path| path.starts_with("/drives/")).count();
            metrics.count("block", "read_count", disks as u64);
            metrics.count("block", "read_bytes", 4096 * disks as u64);
        }
        self.open_vsock()
    }

    fn action(&mut self, action: &str) -> Result<Value, String> {
        match action {
            "InstanceStart" => {
                self.before_start()?;
                if !self.config.contains_key("/boot-source") {
                    return Err("Start microvm error: no kernel was configured".to_owned());
                }
                self.phase = "Running";
                let line = self.config["/boot-source"]["boot_args"].as_str().unwrap_or_default();
                if line.split(' ').any(|word| word == "atelier.trial") {
                    // The machine's console is the monitor's output.
                    println!("atelier: trial passed");
                    return Ok(Value::Null);
                }
                self.run()
            }
            "FlushMetrics" => {
                self.after_start()?;
                if let Some(metrics) = &mut self.metrics {
                    metrics.flush().map_err(|error| format!("Metrics error: {error}"))?;
                }
                Ok(Value::Null)
            }
            "SendCtrlAltDel" => self.after_start().map(|()| Value::Null),
            other => Err(format!("unknown variant `{other}`")),
        }
    }

    fn set_phase(&mut self, wanted: &str) -> Result<Value, String> {
        self.after_start()?;
        let phase = match wanted {
            "Paused" => "Paused",
            "Resumed" => "Running",
            other => return Err(format!("unknown variant `{other}`")),
        };
        if let Some(behind) = &mut self.behind {
            behind.pause(phase == "Paused")?;
        }
        self.phase = phase;
        Ok(Value::Null)
    }

    fn save(&mut self, body: &Value) -> Result<Value, String> {
        self.after_start()?;
        if self.phase != "Paused" {
            return Err("Create snapshot error: the microVM is not paused".to_owned());
        }
        let tracks = &self.config["/machine-config"]["track_dirty_pages"];
        if body["snapshot_type"] == "Diff" && tracks != &Value::Bool(true) {
            return Err("Create snapshot error: dirty pages are not tracked".to_owned());
        }
        if let Some(behind) = &mut self.behind {
            behind.flush()?;
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
        for (path, device) in &config {
            if let (true, Some(file)) = (path.starts_with("/drives/"), device.get("path_on_host")) {
                self.can_open(file.as_str().unwrap_or_default(), device)?;
            }
        }
        self.config = config;
        self.phase = if body["resume_vm"] == true { "Running" } else { "Paused" };
        self.run()
    }

    fn open_vsock(&mut self) -> Result<Value, String> {
        let Some(vsock) = self.config.get("/vsock") else { return Ok(Value::Null) };
        let path = self.dir.join(vsock["uds_path"].as_str().unwrap_or_default());
        let listener = UnixListener::bind(path).map_err(|error| format!("Vsock error: {error}"))?;
        let guest = self.behind.as_ref().and_then(|behind| behind.guest());
        self.vsock = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(let_in(stream, guest.clone()));
            }
        }));
        Ok(Value::Null)
    }
}

/// Where metrics go. Firecracker opens it without `O_APPEND` (`open_file_nonblock` in
/// `src/vmm/src/utils/mod.rs`), so it goes on at its own place whatever others do to the file.
struct Metered {
    file: fs::File,
    /// What was counted since the last line; each line begins anew (`SharedIncMetric`).
    counted: Map<String, Value>,
}

impl Metered {
    fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = fs::File::options();
        options.custom_flags(libc::O_NONBLOCK).create(true).truncate(false);
        let file = options.read(true).write(true).open(path)?;
        Ok(Self { file, counted: Map::new() })
    }

    fn count(&mut self, device: &str, name: &str, more: u64) {
        let device = self.counted.entry(device).or_insert_with(|| json!({}));
        device[name] = json!(device[name].as_u64().unwrap_or(0) + more);
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut line = json!({ "utc_timestamp_ms": 1_739_000_000_000_u64, "api_server": {
            "process_startup_time_us": 1, "process_startup_time_cpu_us": 1,
        } });
        for device in ["block", "net", "vsock"] {
            line[device] = self.counted.remove(device).unwrap_or_else(|| json!({}));
        }
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

/// A bucket that is told replaces the one before; without room or time there is none (`TokenBucket::new`
/// in `src/vmm/src/rate_limiter/mod.rs`). One that is not told stays.
fn update(device: &mut Value, name: &str, told: &Value) {
    for bucket in ["bandwidth", "ops"] {
        let told = &told[bucket];
        if told["size"] == 0 || told["refill_time"] == 0 {
            device[name][bucket] = Value::Null;
        } else if !told.is_null() {
            device[name][bucket] = told.clone();
        }
    }
}

/// The handshake, then the guest: one that says that it is well to whatever it is asked, or the one
/// at a socket.
async fn let_in(mut stream: UnixStream, guest: Option<PathBuf>) {
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
    let Some(guest) = guest else {
        drop(stream.write_all(b"OK 1073741824\n").await);
        return well(stream).await;
    };
    let Ok(mut guest) = UnixStream::connect(guest).await else { return };
    drop(stream.write_all(b"OK 1073741824\n").await);
    drop(tokio::io::copy_bidirectional(&mut stream, &mut guest).await);
}

async fn well(stream: UnixStream) {
    let service = service_fn(|_| async {
        Ok::<_, Infallible>(Response::builder().status(204).body(Full::<Bytes>::default()).unwrap())
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
