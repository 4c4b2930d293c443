//! Messages of `filesystem.Filesystem`, and of the plain HTTP paths around it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{KeepAlive, int64};

/// What an entry is. A link has the kind of what it leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileType {
    /// A regular file.
    #[serde(rename = "FILE_TYPE_FILE")]
    File,
    /// A folder.
    #[serde(rename = "FILE_TYPE_DIRECTORY")]
    Directory,
    /// A link.
    #[serde(rename = "FILE_TYPE_SYMLINK")]
    Symlink,
    /// A device, a socket, a pipe, or a link to nowhere.
    #[default]
    #[serde(rename = "FILE_TYPE_UNSPECIFIED", other)]
    Unspecified,
}

/// An entry of the file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntryInfo {
    /// The last part of its path.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FileType,
    /// Its absolute path.
    pub path: String,
    /// In bytes.
    #[serde(with = "int64", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The permission bits; a link has those of what it leads to.
    pub mode: u32,
    /// The permissions as `ls` writes them, with Go's letters for the kind.
    pub permissions: String,
    /// The owner's name, or number.
    pub owner: String,
    /// The group's name, or number.
    pub group: String,
    /// When it was last written, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified_time: Option<String>,
    /// Where a link leads to in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symlink_target: Option<String>,
    /// The extended attributes below `user.e2b.`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Names a path; also the request of `Stat`, `MakeDir` and `Remove`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathRequest {
    /// Absolute, below `~`, or from the user's home.
    pub path: String,
}

/// The response of `Stat`, `MakeDir` and `Move`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryResponse {
    /// The entry.
    pub entry: EntryInfo,
}

/// Renames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveRequest {
    /// From.
    pub source: String,
    /// To.
    pub destination: String,
}

/// Lists a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListDirRequest {
    /// Which.
    pub path: String,
    /// How many levels down; 0 means 1.
    pub depth: u32,
}

/// What is in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListDirResponse {
    /// Parents before children, by name.
    pub entries: Vec<EntryInfo>,
}

/// Watches a folder; the request of `WatchDir` and `CreateWatcher`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WatchRequest {
    /// Which.
    pub path: String,
    /// With all folders below.
    pub recursive: bool,
    /// Events carry what is at their path.
    pub include_entry: bool,
    /// Network mounts are watched too, though they may not tell everything.
    pub allow_network_mounts: bool,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum EventType {
    #[serde(rename = "EVENT_TYPE_CREATE")]
    Create,
    #[serde(rename = "EVENT_TYPE_WRITE")]
    Write,
    #[serde(rename = "EVENT_TYPE_REMOVE")]
    Remove,
    #[serde(rename = "EVENT_TYPE_RENAME")]
    Rename,
    #[serde(rename = "EVENT_TYPE_CHMOD")]
    Chmod,
    #[default]
    #[serde(rename = "EVENT_TYPE_UNSPECIFIED", other)]
    Unspecified,
}

/// Something happened in a watched folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesystemEvent {
    /// From the watched folder.
    pub name: String,
    /// What.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// What is there now, when asked for and when it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryInfo>,
}

/// One message of a `WatchDir` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WatchEvent {
    /// The folder is watched from now on.
    Start(KeepAlive),
    /// Something happened.
    Filesystem(Box<FilesystemEvent>),
    /// Nothing happened for a while.
    Keepalive(KeepAlive),
}

/// The name of a watcher; also the request of `GetWatcherEvents` and `RemoveWatcher`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WatcherId {
    /// The name.
    pub watcher_id: String,
}

/// What a watcher saw since it was last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatcherEvents {
    /// In order.
    pub events: Vec<FilesystemEvent>,
}

/// A file that was written, as `POST /files` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WrittenFile {
    /// Its absolute path.
    pub path: String,
    /// The last part of it.
    pub name: String,
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The metadata that the file has now.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Joins files; the request of `POST /files/compose`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComposeRequest {
    /// In order; each is removed when the whole is in place.
    pub source_paths: Vec<String>,
    /// The file to make.
    pub destination: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// A TCP port that something in the sandbox listens on, as `GET /listening` answers. Ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListeningPort {
    /// The port.
    pub port: u16,
    /// The address: `0.0.0.0`, `127.0.0.1`, `::`.
    pub address: String,
    /// The user id of the listener.
    pub uid: u32,
}

/// What the sandbox uses, as `GET /metrics` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Unix time in seconds.
    pub ts: u64,
    /// Processors.
    pub cpu_count: u32,
    /// Percent of them all in use since the last question.
    pub cpu_used_pct: f32,
    /// Bytes of memory.
    pub mem_total: u64,
    /// Bytes in use, without what can be given back.
    pub mem_used: u64,
    /// Bytes of page cache.
    pub mem_cache: u64,
    /// MiB of memory.
    pub mem_total_mib: u64,
    /// MiB in use.
    pub mem_used_mib: u64,
    /// Bytes of the root file system in use.
    pub disk_used: u64,
    /// Bytes of the root file system.
    pub disk_total: u64,
}

/// Settings for a guest that runs already, the request of `POST /init`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InitRequest {
    /// Variables for every process from now on, instead of those of the last call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<BTreeMap<String, String>>,
    /// The token that callers must show from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// RFC 3339; sets the clock when the guest was started so that it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The user of callers that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_user: Option<String>,
    /// The folder that relative paths start at, instead of the user's home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_workdir: Option<String>,
    /// The name of the machine, when the guest is the init of one. A field of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Fresh random bytes in base64, for the kernel of a machine that may be a copy of another. A
    /// field of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy: Option<String>,
    /// The certificate of an authority, in PEM, that programs inside are to trust beside their own. A
    /// field of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
}
