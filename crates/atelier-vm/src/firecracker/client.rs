//! Sends requests to a monitor, each on a connection of its own over its Unix socket.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use super::api::{
    Action, Balloon, BootSource, Drive, Entropy, Fault, Info, Limiter, Load, Logger, MachineConfig,
    Metrics, NetworkInterface, SnapshotCreate, Version, VmState, Vsock,
};
use crate::VmError;
use crate::error::Result;

/// Saving writes all of a machine's memory before it answers.
const PATIENCE: Duration = Duration::from_secs(120);
const START: Duration = Duration::from_secs(10);

/// A monitor's API. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// The monitor at a socket, which may have a longer path than an address can hold. Nothing is
    /// opened yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The same, when the monitor answers.
    ///
    /// # Errors
    /// When it does not within ten seconds.
    pub async fn connect_soon(socket: &Path) -> Result<Self> {
        let api = Self::new(socket);
        let until = tokio::time::Instant::now() + START;
        while let Err(error) = api.info().await {
            if tokio::time::Instant::now() > until {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(api)
    }

    /// How the machine is.
    ///
    /// # Errors
    /// As every call: [`VmError::Refused`] with the monitor's own words, or [`VmError::Machine`]
    /// when it does not answer.
    pub async fn info(&self) -> Result<Info> {
        self.get("/").await
    }

    /// The monitor's version.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn version(&self) -> Result<String> {
        self.get::<Version>("/version").await.map(|it| it.firecracker_version)
    }

    /// Everything that was configured, as the monitor has it.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn config(&self) -> Result<Value> {
        self.get("/vm/config").await
    }

    pub(super) async fn machine_config(&self, config: &MachineConfig) -> Result<()> {
        self.put("/machine-config", config).await
    }

    pub(super) async fn boot_source(&self, source: &BootSource) -> Result<()> {
        self.put("/boot-source", source).await
    }

    /// Adds a disk, before the machine starts.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn drive(&self, drive: &Drive) -> Result<()> {
        self.put(&format!("/drives/{}", drive.drive_id), drive).await
    }

    /// Changes the limits of a running machine's disk.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn limit_drive(&self, id: &str, limiter: Limiter) -> Result<()> {
        let body = serde_json::json!({ "drive_id": id, "rate_limiter": limiter });
        self.send(Method::PATCH, &format!("/drives/{id}"), &body).await
    }

    /// Adds a network link, before the machine starts.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn network_interface(&self, interface: &NetworkInterface) -> Result<()> {
        self.put(&format!("/network-interfaces/{}", interface.iface_id), interface).await
    }

    /// Changes the limits of a running machine's link: what it receives, and what it sends.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn limit_network(&self, id: &str, receive: Limiter, send: Limiter) -> Result<()> {
        let body = serde_json::json!({
            "iface_id": id, "rx_rate_limiter": receive, "tx_rate_limiter": send,
        });
        self.send(Method::PATCH, &format!("/network-interfaces/{id}"), &body).await
    }

    /// Adds the vsock, before the machine starts.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn vsock(&self, vsock: &Vsock) -> Result<()> {
        self.put("/vsock", vsock).await
    }

    pub(super) async fn entropy(&self) -> Result<()> {
        self.put("/entropy", &Entropy { rate_limiter: None }).await
    }

    /// Adds a balloon, before the machine starts.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn balloon(&self, balloon: &Balloon) -> Result<()> {
        self.put("/balloon", balloon).await
    }

    /// Takes so many MiB of a running machine's memory.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn inflate(&self, amount_mib: u64) -> Result<()> {
        let body = serde_json::json!({ "amount_mib": amount_mib });
        self.send(Method::PATCH, "/balloon", &body).await
    }

    /// Says where to log to, once.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn logger(&self, logger: &Logger) -> Result<()> {
        self.put("/logger", logger).await
    }

    /// Says where to write metrics to, once. They come each minute, and when asked for.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn metrics(&self, metrics: &Metrics) -> Result<()> {
        self.put("/metrics", metrics).await
    }

    /// Writes the metrics now.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn flush_metrics(&self) -> Result<()> {
        self.put("/actions", &Action { action_type: "FlushMetrics" }).await
    }

    /// Starts the machine.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn start(&self) -> Result<()> {
        self.put("/actions", &Action { action_type: "InstanceStart" }).await
    }

    /// Presses Ctrl, Alt and Delete, which the kernel takes for a restart: the machine's end.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn ctrl_alt_del(&self) -> Result<()> {
        self.put("/actions", &Action { action_type: "SendCtrlAltDel" }).await
    }

    /// Stops the machine's processors where they are.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn pause(&self) -> Result<()> {
        self.send(Method::PATCH, "/vm", &VmState { state: "Paused" }).await
    }

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn resume(&self) -> Result<()> {
        self.send(Method::PATCH, "/vm", &VmState { state: "Resumed" }).await
    }

    /// Saves a paused machine into two files, named as the monitor sees them. With `changes`, only
    /// memory that changed since the last time is written, into the same file as then.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn save(&self, state: &str, memory: &str, changes: bool) -> Result<()> {
        let snapshot_type = if changes { "Diff" } else { "Full" };
        let body = SnapshotCreate { snapshot_type, snapshot_path: state, mem_file_path: memory };
        self.put("/snapshot/create", &body).await
    }

    /// Makes a new monitor the machine that was saved.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn load(&self, load: &Load) -> Result<()> {
        self.put("/snapshot/load", load).await
    }

    async fn put<T: Serialize>(&self, path: &str, body: &T) -> Result<()> {
        self.send(Method::PUT, path, body).await
    }

    async fn send<T: Serialize>(&self, method: Method, path: &str, body: &T) -> Result<()> {
        let json = serde_json::to_vec(body).unwrap_or_default();
        self.request(method, path, json.into()).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes = self.request(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.lost(path, &error))
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let name = format!("{method} {path}");
        match tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await {
            Ok(done) => done,
            Err(late) => Err(self.lost(&name, &late)),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let name = format!("{method} {path}");
        let stream = self.open().await.map_err(|error| self.lost(&name, &error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.lost(&name, &error))?;
        let driving = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.lost(&name, &error))?;
        let answered = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = answered.await;
        driving.abort();
        let (status, bytes) = answer.map_err(|error| self.lost(&name, &error))?;
        if status.is_success() {
            return Ok(bytes);
        }
        let why = serde_json::from_slice::<Fault>(&bytes).map_or_else(
            |_| format!("status {status}: {}", String::from_utf8_lossy(&bytes)),
            |fault| fault.fault_message,
        );
        Err(VmError::Refused { monitor: "Firecracker", request: name, why })
    }

    /// By a descriptor of the socket: its path may be longer than an address can hold, and in a
    /// jail it is the monitor that decides what lies there, which must lead nowhere else.
    async fn open(&self) -> std::io::Result<UnixStream> {
        let mut options = std::fs::OpenOptions::new();
        let socket = options.read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW);
        let socket = socket.open(&self.socket)?;
        UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
    }

    fn lost(&self, what: &str, error: &dyn std::error::Error) -> VmError {
        let mut why = format!("{what} at {}: {error}", self.socket.display());
        if let Some(source) = error.source() {
            why = format!("{why}: {source}");
        }
        VmError::Machine { what: "does not answer", why }
    }
}
