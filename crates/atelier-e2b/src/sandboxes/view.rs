//! Sandboxes as E2B's clients read them. Fields that their generated clients require are never
//! absent.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use atelier_api::env::Resources;
use atelier_api::sandbox::{Expiry, Sandbox, SandboxDetail, SandboxState};
use atelier_api::volume::VolumeMount;
use atelier_guest::wire::ENVD_VERSION;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::network::NetworkView;
use crate::templates::names::TemplateName;

/// `clientID` is required, and means nothing any more.
const CLIENT: &str = "atelier";
/// When the time of a sandbox is over that has no limit: E2B's clients need a moment. 9000-01-01.
const NEVER: i64 = 221_845_392_000;

/// `Sandbox`: what is needed to talk to one.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SandboxView {
    #[serde(rename = "templateID")]
    template: String,
    #[serde(rename = "sandboxID")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(rename = "clientID")]
    client: &'static str,
    #[serde(rename = "envdVersion")]
    envd: &'static str,
    #[serde(rename = "envdAccessToken")]
    access_token: String,
    #[serde(rename = "trafficAccessToken", skip_serializing_if = "Option::is_none")]
    traffic_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
}

impl SandboxView {
    pub(crate) fn new(detail: SandboxDetail, domain: Option<String>) -> Self {
        let (template, alias) = origin(&detail.sandbox);
        Self {
            template,
            id: detail.sandbox.id,
            alias,
            client: CLIENT,
            envd: ENVD_VERSION,
            access_token: detail.access_token,
            traffic_token: detail.traffic_token.filter(|_| !detail.sandbox.public),
            domain,
        }
    }
}

/// `ListedSandbox`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedView {
    #[serde(rename = "templateID")]
    template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(rename = "sandboxID")]
    id: String,
    #[serde(rename = "clientID")]
    client: &'static str,
    started_at: Timestamp,
    end_at: Timestamp,
    cpu_count: u64,
    #[serde(rename = "memoryMB")]
    memory_mb: u64,
    #[serde(rename = "diskSizeMB")]
    disk_mb: u64,
    metadata: BTreeMap<String, String>,
    state: StateView,
    envd_version: &'static str,
    volume_mounts: Vec<MountView>,
}

impl ListedView {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        let (template, alias) = origin(&sandbox);
        Self {
            template,
            alias,
            client: CLIENT,
            started_at: sandbox.started_at,
            end_at: sandbox.expires_at.unwrap_or_else(never),
            cpu_count: cpus(&sandbox.resources),
            memory_mb: memory_mb(&sandbox.resources),
            disk_mb: sandbox.resources.disk.unwrap_or(0) >> 20,
            state: StateView::of(sandbox.state),
            id: sandbox.id,
            metadata: sandbox.metadata,
            envd_version: ENVD_VERSION,
            volume_mounts: sandbox.volumes.into_iter().map(MountView::of).collect(),
        }
    }
}

/// `SandboxVolumeMount`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MountView {
    name: String,
    path: String,
}

impl MountView {
    fn of(mount: VolumeMount) -> Self {
        Self { name: mount.volume, path: mount.path }
    }

    /// As we say it.
    pub(crate) fn ours(self) -> VolumeMount {
        VolumeMount { volume: self.name, path: self.path }
    }
}

/// `SandboxDetail`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DetailView {
    #[serde(flatten)]
    listed: ListedView,
    envd_access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_internet_access: Option<bool>,
    network: NetworkView,
    lifecycle: LifecycleView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_mode: Option<&'static str>,
}

impl DetailView {
    pub(crate) fn new(detail: SandboxDetail, domain: Option<String>) -> Self {
        let sandbox = detail.sandbox;
        let network = NetworkView::new(&detail.network, sandbox.public);
        let lifecycle = LifecycleView {
            auto_resume: sandbox.auto_resume,
            on_timeout: if sandbox.on_expiry == Expiry::Kill { "kill" } else { "pause" },
        };
        Self {
            envd_access_token: detail.access_token,
            domain,
            allow_internet_access: network.is_closed().then_some(false),
            network,
            lifecycle,
            pause_mode: match sandbox.state {
                SandboxState::Paused => Some("full"),
                SandboxState::Stopped => Some("filesystem"),
                _ => None,
            },
            listed: ListedView::new(sandbox),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleView {
    auto_resume: bool,
    on_timeout: &'static str,
}

/// The states that E2B knows: what is stopped is paused without its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateView {
    Running,
    Paused,
}

impl StateView {
    pub(crate) fn of(state: SandboxState) -> Self {
        match state {
            SandboxState::Paused | SandboxState::Stopped => Self::Paused,
            _ => Self::Running,
        }
    }
}

/// What a sandbox was made from, as a template id, and the alias of it if it is a template.
pub(crate) fn origin(sandbox: &Sandbox) -> (String, Option<String>) {
    if let Some(snapshot) = &sandbox.snapshot {
        return (snapshot.clone(), None);
    }
    if let Some(template) = &sandbox.template {
        let id = TemplateName::of_ours(template).id;
        return (id.clone(), Some(id));
    }
    (sandbox.image.clone().unwrap_or_else(|| sandbox.runtime.clone()), None)
}

pub(crate) fn never() -> Timestamp {
    Timestamp::from_second(NEVER).unwrap_or(Timestamp::MAX)
}

/// Whole processors, at least one; this machine's when there is no limit.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of processors is small and not negative"
)]
pub(crate) fn cpus(resources: &Resources) -> u64 {
    let all = || std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    resources.cpus.map_or_else(all, |cpus| cpus.ceil().max(1.0) as u64)
}

/// MiB of memory; this machine's when there is no limit.
pub(crate) fn memory_mb(resources: &Resources) -> u64 {
    static MACHINE: LazyLock<u64> = LazyLock::new(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.map_or(1024, |kib| kib >> 10)
    });
    resources.memory.map_or(*MACHINE, |bytes| bytes >> 20).max(128)
}
