//! The bodies of Firecracker's requests and answers, as its OpenAPI document
//! (`src/firecracker/swagger/firecracker.yaml` of its repository) describes them. It refuses fields
//! that it does not know, so what is not set is left out: older releases know fewer.

use atelier_net::Addresses;
use serde::{Deserialize, Serialize};

use crate::machine::mac;

/// A bucket of tokens: what fits in it may pass at once, and it fills again within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBucket {
    /// Bytes, or operations.
    pub size: u64,
    /// More of them, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_time_burst: Option<u64>,
    /// Milliseconds until an empty bucket is full.
    pub refill_time: u64,
}

impl TokenBucket {
    /// As many for each second.
    #[must_use]
    pub fn per_second(size: u64) -> Self {
        Self { size, one_time_burst: None, refill_time: 1000 }
    }
}

/// Limits of a disk, or of one direction of a network link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limiter {
    /// Of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<TokenBucket>,
    /// Of requests or packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops: Option<TokenBucket>,
}

#[derive(Debug, Serialize)]
pub(super) struct MachineConfig {
    pub vcpu_count: u32,
    pub mem_size_mib: u64,
    pub smt: bool,
    pub track_dirty_pages: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct BootSource {
    pub kernel_image_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd_path: Option<String>,
    pub boot_args: String,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drive {
    /// Its name in the API.
    pub drive_id: String,
    /// The file, as the monitor sees it.
    pub path_on_host: String,
    /// Whether the kernel is told to mount it as its root. Our guest mounts by itself.
    pub is_root_device: bool,
    /// Whether it is never written to.
    pub is_read_only: bool,
    /// `Unsafe` ignores what the machine wants flushed; `Writeback` does it.
    pub cache_type: CacheType,
    /// Its limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<Limiter>,
}

/// What becomes of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CacheType {
    /// Nothing.
    Unsafe,
    /// The host's file is flushed.
    Writeback,
}

/// A network link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkInterface {
    /// Its name in the API.
    pub iface_id: String,
    /// The tap device, in the monitor's network namespace.
    pub host_dev_name: String,
    /// Its address inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_mac: Option<String>,
    /// Limits of what the machine receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_rate_limiter: Option<Limiter>,
    /// Limits of what the machine sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_rate_limiter: Option<Limiter>,
}

impl NetworkInterface {
    /// The TAP device that `atelier-guest outside` makes for a link of the kind `Wire`, with the
    /// hardware address that our network stack expects behind it.
    #[must_use]
    pub fn wire() -> Self {
        Self {
            iface_id: "eth0".to_owned(),
            host_dev_name: atelier_net::DEVICE.to_owned(),
            guest_mac: Some(mac(Addresses::SANDBOX_MAC)),
            rx_rate_limiter: None,
            tx_rate_limiter: None,
        }
    }
}

/// The vsock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vsock {
    /// The machine's number; each has the host to itself, so any from 3 up will do.
    pub guest_cid: u32,
    /// The socket of the way in, as the monitor sees it.
    pub uds_path: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Entropy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<Limiter>,
}

/// Memory that the host takes back from a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Balloon {
    /// How much, in MiB.
    pub amount_mib: u64,
    /// Whether the machine gets it again before it ends a process for want of memory.
    pub deflate_on_oom: bool,
    /// Seconds between statistics; 0 for none.
    pub stats_polling_interval_s: u64,
}

/// Where the monitor logs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logger {
    /// The file, as the monitor sees it. It must be there.
    pub log_path: String,
    /// `Error`, `Warning`, `Info` or `Debug`.
    pub level: String,
}

/// Where the monitor writes its metrics to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// The file, as the monitor sees it. It must be there.
    pub metrics_path: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Action {
    pub action_type: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct VmState {
    pub state: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct SnapshotCreate<'a> {
    pub snapshot_type: &'static str,
    pub snapshot_path: &'a str,
    pub mem_file_path: &'a str,
}

/// A saved machine to go on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Load {
    /// The file with processors and devices.
    pub snapshot_path: String,
    /// The memory.
    pub mem_backend: MemoryBackend,
    /// Whether pages that change are noted, for a later [`Api::save`](super::Api::save) of only
    /// these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub track_dirty_pages: bool,
    /// Whether it goes on at once.
    pub resume_vm: bool,
    /// Other tap devices (since 1.12).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_overrides: Vec<NetworkOverride>,
    /// Another socket of the way in (since 1.15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsock_override: Option<VsockOverride>,
}

impl Load {
    /// A machine whose memory is a file, of which every copy changes its own copy only.
    #[must_use]
    pub fn file(state: impl Into<String>, memory: impl Into<String>) -> Self {
        Self {
            snapshot_path: state.into(),
            mem_backend: MemoryBackend {
                backend_type: BackendType::File,
                backend_path: memory.into(),
            },
            track_dirty_pages: false,
            resume_vm: true,
            network_overrides: Vec::new(),
            vsock_override: None,
        }
    }
}

/// Where a saved machine's memory comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryBackend {
    /// What `backend_path` is.
    pub backend_type: BackendType,
    /// As the monitor sees it.
    pub backend_path: String,
}

/// What gives a saved machine its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BackendType {
    /// A file.
    File,
    /// A process that listens on a socket and handles page faults.
    Uffd,
}

/// Another tap device for a link of a saved machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkOverride {
    /// The link.
    pub iface_id: String,
    /// The tap device.
    pub host_dev_name: String,
}

/// Another way in for a saved machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VsockOverride {
    /// The socket.
    pub uds_path: String,
}

/// How a monitor is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// The machine's name.
    pub id: String,
    /// `Not started`, `Running` or `Paused`.
    pub state: String,
    /// The monitor's version.
    pub vmm_version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub firecracker_version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fault {
    pub fault_message: String,
}
