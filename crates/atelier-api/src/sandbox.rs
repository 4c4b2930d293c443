//! `sandbox.*` and `snapshot.*`: isolated machines that live on their own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Name;
pub use crate::devices::{DeviceCounters, MetricsSample, Rates};
use crate::env::Resources;
use crate::operation::operation;
pub use crate::policy::{HostRule, NetworkPolicy};
use crate::system::{Check, Nothing};
use crate::volume::VolumeMount;

/// Where requests to a sandbox's guest go, below the API's root: `{sandbox}` and the guest's own
/// path are appended. What stands behind is the guest's protocol (processes, files, ports).
pub const GUEST_PATH: &str = "/sandboxes/{sandbox}/guest";
/// The permission that they need.
pub const GUEST_NAME: &str = "sandbox.guest";

/// Which sandbox: its id, a unique beginning of it, or its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxRef {
    /// Id, unique beginning of an id (at least 4 characters), or name.
    pub sandbox: String,
}

/// What happens when a sandbox's time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expiry {
    /// It is removed with everything in it.
    #[default]
    Kill,
    /// It is paused: processes, memory and files are kept.
    Pause,
    /// It is stopped: only its files are kept.
    Stop,
}

/// What a sandbox is made with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxOptions {
    /// A name, unique among sandboxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What isolates it; the setting `sandbox_runtime` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The template, snapshot or image that it starts from: the first that has this name. The
    /// setting `sandbox_image` when this, `image`, `template` and `snapshot` are all absent. The
    /// runtime `host` takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The image it starts from. One of `from`, `image`, `template` and `snapshot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The template it starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The snapshot it starts from, by id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Limits. A virtual machine has 1 processor, 512 MiB and 10 GiB of disk unless they say more.
    pub resources: Resources,
    /// How fast its disk and its network may be.
    #[serde(skip_serializing_if = "Rates::is_empty")]
    pub rates: Rates,
    /// Variables of every command in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Words of the user's own; `ls` filters by them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Seconds until its time is over; it lives until it is removed when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// What happens then.
    pub on_expiry: Expiry,
    /// Whether traffic to it while it is paused resumes it.
    pub auto_resume: bool,
    /// What its network lets through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkPolicy>,
    /// Whether its ports are reached without the traffic token.
    pub public: bool,
    /// The user of commands that name none; the image's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The folder where commands start that name none; the image's, or the user's home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// What requests through the ingress find as their `Host`, instead of the sandbox's own;
    /// `${PORT}` stands for the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_host: Option<String>,
    /// Volumes that it has, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeMount>,
}

/// Where a sandbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// Being made.
    Creating,
    /// Its guest answers.
    Running,
    /// Processes and memory are kept, and nothing runs.
    Paused,
    /// Only its files are kept.
    Stopped,
    /// Being removed.
    Removing,
}

/// One sandbox.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Sandbox {
    /// Unique for ever: 32 hexadecimal digits.
    pub id: String,
    /// Its name, if it was given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where it is in its life.
    pub state: SandboxState,
    /// What isolates it.
    pub runtime: String,
    /// The image that its files started from; absent for the runtime `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The template that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The snapshot that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last started or was resumed.
    pub started_at: Timestamp,
    /// When its time is over, if it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What happens then.
    pub on_expiry: Expiry,
    /// Whether traffic resumes it.
    pub auto_resume: bool,
    /// Words of the user's own.
    pub metadata: BTreeMap<String, String>,
    /// Its limits as they are in force.
    pub resources: Resources,
    /// How fast its disk and its network may be.
    #[serde(default, skip_serializing_if = "Rates::is_empty")]
    pub rates: Rates,
    /// Whether its ports are reached without the traffic token.
    pub public: bool,
    /// Volumes that it has, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeMount>,
}

/// A sandbox with what is only told to those who may use it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxDetail {
    /// The sandbox.
    #[serde(flatten)]
    pub sandbox: Sandbox,
    /// What its network lets through.
    pub network: NetworkPolicy,
    /// Shown to the guest by whoever talks to it through the ingress (`X-Access-Token`).
    pub access_token: String,
    /// Shown to the ingress by whoever reaches its ports (`e2b-traffic-access-token`), unless it is
    /// public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_token: Option<String>,
    /// The host name of a port; `{port}` stands for its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The URL of a port; `{port}` stands for its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The user of commands that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The folder where commands start that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// What the reader should know, such as a limit that it met.
    pub notes: Vec<String>,
}

/// Input of [`SandboxList`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SandboxListInput {
    /// Only these states; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<SandboxState>,
    /// Only those with all of these words, as `key=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<String>,
    /// Only those of this runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Only those made from this image or template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Input of [`SandboxRemove`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxRemoveInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
}

/// Input of [`SandboxResume`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxResumeInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Its time from now on, in seconds; never less than what it has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// Input of [`SandboxExtend`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxExtendInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Its time from now on, in seconds; without a limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// Input of [`SandboxRename`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxRenameInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Its name from now on; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

/// Input of [`SandboxNetwork`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxNetworkInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// What its network lets through from now on.
    pub network: NetworkPolicy,
}

/// Input of [`SandboxFork`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxForkInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// How many copies.
    #[serde(default = "one")]
    pub count: u32,
    /// The time of each, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

fn one() -> u32 {
    1
}

/// Input of [`SandboxSnapshot`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxSnapshotInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// A name for the snapshot, as templates have them; an older one of this name loses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether processes and memory are kept as well: `true` is an error where the runtime can't,
    /// absent means where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<bool>,
}

/// Input of [`SandboxRestore`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxRestoreInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// The snapshot that it goes back to, by id or name.
    pub snapshot: String,
}

/// A sandbox's saved state.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Unique for ever.
    pub id: String,
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The sandbox that it was taken of.
    pub sandbox: String,
    /// The runtime that can start it.
    pub runtime: String,
    /// Whether processes and memory are in it, or files only.
    pub memory: bool,
    /// When it was taken.
    pub created_at: Timestamp,
    /// Bytes on disk.
    pub size_bytes: u64,
}

/// Input of [`SnapshotList`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SnapshotListInput {
    /// Only those of this sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

/// Which snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotRef {
    /// Id or name.
    pub snapshot: String,
}

/// Input of [`SandboxMetrics`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SandboxMetricsInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Only samples from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only samples up to here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A runtime as this machine has it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeView {
    /// The name that users choose it by.
    pub name: String,
    /// What isolates its sandboxes.
    pub isolation: String,
    /// Whether it works on this machine.
    pub available: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// Whether pause keeps processes and memory.
    pub pause: bool,
    /// Whether snapshots and forks hold processes and memory.
    pub memory_snapshots: bool,
    /// Whether sandboxes start from images.
    pub images: bool,
    /// Whether sandboxes can have volumes.
    #[serde(default)]
    pub volumes: bool,
}

operation! {
    /// Makes a sandbox and starts it.
    SandboxCreate: "sandbox.create" Post "/sandboxes" Change
    (SandboxOptions) -> SandboxDetail, |i| i.name.as_ref().map(ToString::to_string).unwrap_or_default()
}
operation! {
    /// Lists sandboxes, the newest first.
    SandboxList: "sandbox.list" Get "/sandboxes" Read
    (SandboxListInput) -> Vec<Sandbox>, |_i| String::new()
}
operation! {
    /// Shows one sandbox, with the tokens that open it.
    SandboxShow: "sandbox.show" Get "/sandboxes/{sandbox}" Read
    (SandboxRef) -> SandboxDetail, |i| i.sandbox.clone()
}
operation! {
    /// Starts a sandbox that was stopped.
    SandboxStart: "sandbox.start" Post "/sandboxes/{sandbox}/start" Change
    (SandboxRef) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Ends every process in a sandbox; its files are kept.
    SandboxStop: "sandbox.stop" Post "/sandboxes/{sandbox}/stop" Change
    (SandboxRef) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Pauses a sandbox; processes and memory are kept.
    SandboxPause: "sandbox.pause" Post "/sandboxes/{sandbox}/pause" Change
    (SandboxRef) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Lets a paused sandbox go on, or starts one that was stopped.
    SandboxResume: "sandbox.resume" Post "/sandboxes/{sandbox}/resume" Change
    (SandboxResumeInput) -> SandboxDetail, |i| i.sandbox.clone()
}
operation! {
    /// Sets how long a sandbox still lives.
    SandboxExtend: "sandbox.extend" Post "/sandboxes/{sandbox}/extend" Change
    (SandboxExtendInput) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Gives a sandbox another name.
    SandboxRename: "sandbox.rename" Post "/sandboxes/{sandbox}/rename" Change
    (SandboxRenameInput) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Replaces what a sandbox's network lets through, at once.
    SandboxNetwork: "sandbox.network" Post "/sandboxes/{sandbox}/network" Change
    (SandboxNetworkInput) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Saves a sandbox's state; the sandbox goes on.
    SandboxSnapshot: "sandbox.snapshot" Post "/sandboxes/{sandbox}/snapshots" Change
    (SandboxSnapshotInput) -> Snapshot, |i| i.sandbox.clone()
}
operation! {
    /// Takes a sandbox back to a snapshot; what it did since is lost.
    SandboxRestore: "sandbox.restore" Post "/sandboxes/{sandbox}/restore" Change
    (SandboxRestoreInput) -> Sandbox, |i| i.sandbox.clone()
}
operation! {
    /// Makes copies of a sandbox as it is now.
    SandboxFork: "sandbox.fork" Post "/sandboxes/{sandbox}/fork" Change
    (SandboxForkInput) -> Vec<SandboxDetail>, |i| i.sandbox.clone()
}
operation! {
    /// Gives what a sandbox used, over time.
    SandboxMetrics: "sandbox.metrics" Get "/sandboxes/{sandbox}/metrics" Read
    (SandboxMetricsInput) -> Vec<MetricsSample>, |i| i.sandbox.clone()
}
operation! {
    /// Removes a sandbox with everything in it.
    SandboxRemove: "sandbox.remove" Delete "/sandboxes/{sandbox}" Change
    (SandboxRemoveInput) -> Nothing, |i| i.sandbox.clone()
}
operation! {
    /// Lists snapshots, the newest first.
    SnapshotList: "snapshot.list" Get "/snapshots" Read
    (SnapshotListInput) -> Vec<Snapshot>, |_i| String::new()
}
operation! {
    /// Removes a snapshot; sandboxes made from it stay.
    SnapshotRemove: "snapshot.remove" Delete "/snapshots/{snapshot}" Change
    (SnapshotRef) -> Nothing, |i| i.snapshot.clone()
}
operation! {
    /// Lists runtimes, and says which work on this machine and why others don't.
    RuntimeList: "runtime.list" Get "/runtimes" Read
    (Nothing) -> Vec<RuntimeView>, |_i| String::new()
}
