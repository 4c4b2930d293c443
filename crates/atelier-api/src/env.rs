//! `env.*`: environments, the isolated copies of a project.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::operation::operation;
use crate::{HostPath, Name};

/// Which environment: a name within a project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvRef {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project; the project is the git work tree that it lies in.
    pub project: HostPath,
}

/// Limits of an environment's sandbox. What is absent is not limited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processor time, in cores (1.5 is one core and a half).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Processes and threads at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// What the environment may write to disk, in bytes. Fixed when the environment is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

/// What the network lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Outbound connections, except to this machine's loopback and link-local addresses.
    #[default]
    Open,
    /// Only loopback inside.
    None,
    /// Only what `allow` names.
    Allowlist,
}

/// What an environment is made with. What is absent comes from `atelier.yaml`, the settings and
/// the defaults, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvOptions {
    /// A git commit, branch or tag: a clean checkout of it instead of the folder as it is. Or another folder,
    /// as an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// No files of the project at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
    /// Globs of files that come along although `files` in `atelier.yaml` leaves them out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// The runtime that isolates it; `host` is the one there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Limits.
    pub resources: Resources,
    /// The network's mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkMode>,
    /// `host:port` rules; a rule implies the mode `allowlist` when none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Groups of credentials that stay visible inside, such as `ssh`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Variables for every command in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// Input of [`EnvCreate`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvCreateInput {
    /// The new environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// What it is made with.
    #[serde(flatten)]
    pub options: EnvOptions,
}

/// Where an environment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvState {
    /// Being made; nobody can use it yet.
    Creating,
    /// Whole, with no sandbox running.
    Stopped,
    /// Whole, with its sandbox running.
    Running,
    /// Being removed.
    Removing,
}

/// One environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Unique for ever.
    pub id: Uuid,
    /// Unique within the project.
    pub name: Name,
    /// The project's name.
    pub project: String,
    /// The project's folder.
    pub root: HostPath,
    /// Where it is in its life.
    pub state: EnvState,
    /// What isolates it.
    pub runtime: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The commit-ish that it was made from, if it was not the folder as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Commands running in it now.
    pub processes: u64,
    /// Where its web server is reached from this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An environment with what it is made of.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvDetail {
    /// The environment.
    #[serde(flatten)]
    pub environment: Environment,
    /// What it was made with, after files and defaults were applied.
    pub options: EnvOptions,
    /// How its workspace is layered: `overlay` or `copy`.
    pub layering: String,
    /// Bytes that it holds on disk of its own: its changes, and what its commands wrote elsewhere.
    pub disk_bytes: u64,
    /// Commands running in it.
    pub running: Vec<Process>,
    /// TCP ports that its commands listen on.
    pub ports: Vec<u16>,
    /// What the reader should know of it, such as files that could not be copied.
    pub notes: Vec<String>,
}

/// A command that runs in an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its number inside the environment.
    pub pid: u32,
    /// The command line.
    pub command: Vec<String>,
}

/// Input of [`EnvList`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EnvListInput {
    /// Only environments of the project that this folder lies in; of every project when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<HostPath>,
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// Its contents changed.
    Modified,
    /// It is gone.
    Deleted,
    /// Only its mode changed.
    Mode,
    /// It became something else, such as a link.
    Type,
}

/// One changed file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// Its path below the project's folder.
    pub path: HostPath,
    /// How it differs.
    pub status: FileStatus,
    /// Lines added; 0 for binary files.
    pub insertions: u64,
    /// Lines removed; 0 for binary files.
    pub deletions: u64,
    /// Whether it is not text.
    pub binary: bool,
}

/// Input of [`EnvDiff`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvDiffInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Files that git ignores as well.
    #[serde(default)]
    pub all: bool,
    /// Leave the patch out.
    #[serde(default)]
    pub stat: bool,
}

/// What an environment changed against the project as it was when the environment was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The changed files, by path.
    pub files: Vec<FileChange>,
    /// The unified diff in git's format, in Base64, since files need not be UTF-8. Absent with `stat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_base64: Option<String>,
}

/// Input of [`EnvApply`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvApplyInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Make commits on a new branch of this name, and leave the working tree alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The message of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Files that git ignores as well.
    #[serde(default)]
    pub all: bool,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What [`EnvApply`] did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The files that changed in the project, or on the branch; bytes that are no UTF-8 are
    /// written as git quotes them.
    pub files: Vec<String>,
    /// Those of them where both sides had changed and the lines could be merged.
    pub merged: Vec<String>,
    /// The branch's new tip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Whose lines stay where both sides changed the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Prefer {
    /// The project's.
    Project,
    /// The environment's.
    Environment,
}

/// Input of [`EnvSync`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvSyncInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Whose version stays of a file where both sides changed the same lines; without it nothing is done then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Prefer>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What [`EnvSync`] did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Synced {
    /// The files that changed in the environment; bytes that are no UTF-8 are written as git quotes them.
    pub files: Vec<String>,
    /// Those of them where both sides had changed and the lines could be merged.
    pub merged: Vec<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Input of [`EnvRecreate`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvRecreateInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// From this commit, branch, tag or folder; from what it was made from when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Keep what the volumes of its services hold.
    #[serde(default)]
    pub keep_data: bool,
    /// Although it has changes that were not applied, or commands run in it.
    #[serde(default)]
    pub force: bool,
}

/// Input of [`EnvExport`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvExportInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Files that git ignores as well.
    #[serde(default)]
    pub all: bool,
}

/// What [`EnvExport`] wrote.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// The environment's id.
    pub id: String,
    /// A folder with what changed paths were (`old`) and what they became (`new`). It is written anew
    /// each time, and goes with the environment.
    pub folder: HostPath,
    /// What no change can hold.
    pub notes: Vec<String>,
}

/// Input of [`EnvRemove`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvRemoveInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Remove it although commands run in it.
    #[serde(default)]
    pub force: bool,
    /// Keep its files: only services with their volumes, networks, names and the sandbox are removed.
    #[serde(default)]
    pub keep_workspace: bool,
}

/// What would be lost with an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Unapplied {
    /// The paths that it changed and that were not applied, and its branches with commits that the
    /// project has not.
    pub changes: Vec<String>,
}

/// What [`EnvRemove`] freed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Bytes freed on disk.
    pub freed_bytes: u64,
}

/// Input of [`EnvLogs`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvLogsInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Only the last so many runs; all that is kept when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
}

/// The kept output of one command.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunLog {
    /// Unique for ever.
    pub id: Uuid,
    /// Its number inside the environment.
    pub pid: u32,
    /// The command line.
    pub command: Vec<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// How it ended, if it did and somebody saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The newest output that is kept, in Base64: standard output, standard error and terminal as
    /// they came.
    pub output_base64: String,
}

/// An environment as the audit log names it: names are unique within a project only.
#[must_use]
pub fn place(env: &Name, project: &HostPath) -> String {
    format!("{env} in {}", project.encode())
}

operation! {
    /// Makes an environment.
    EnvCreate: "env.create" Post "/environments" Change
    (EnvCreateInput) -> Environment, |i| place(&i.env, &i.project)
}
operation! {
    /// Lists environments, the newest first.
    EnvList: "env.list" Get "/environments" Read
    (EnvListInput) -> Vec<Environment>, |_i| String::new()
}
operation! {
    /// Shows one environment.
    EnvShow: "env.show" Get "/environments/{env}" Read
    (EnvRef) -> EnvDetail, |i| place(&i.env, &i.project)
}
operation! {
    /// Shows what an environment changed.
    EnvDiff: "env.diff" Get "/environments/{env}/diff" Read
    (EnvDiffInput) -> Diff, |i| place(&i.env, &i.project)
}
operation! {
    /// Brings an environment's changes back into the project.
    EnvApply: "env.apply" Post "/environments/{env}/apply" Change
    (EnvApplyInput) -> Applied, |i| place(&i.env, &i.project)
}
operation! {
    /// Shows what an environment changed that was not brought back.
    EnvUnapplied: "env.unapplied" Get "/environments/{env}/unapplied" Read
    (EnvRef) -> Unapplied, |i| place(&i.env, &i.project)
}
operation! {
    /// Brings what changed in the project into an environment, while its commands go on.
    EnvSync: "env.sync" Post "/environments/{env}/sync" Change
    (EnvSyncInput) -> Synced, |i| place(&i.env, &i.project)
}
operation! {
    /// Makes an environment anew under its name, with files from the project as it is now.
    EnvRecreate: "env.recreate" Post "/environments/{env}/recreate" Change
    (EnvRecreateInput) -> Environment, |i| place(&i.env, &i.project)
}
operation! {
    /// Writes an environment's changes into a folder, from which another machine can fetch them.
    EnvExport: "env.export" Post "/environments/{env}/export" Change
    (EnvExportInput) -> Exported, |i| place(&i.env, &i.project)
}
operation! {
    /// Stops an environment's sandbox and every command in it; files are kept.
    EnvStop: "env.stop" Post "/environments/{env}/stop" Change
    (EnvRef) -> Environment, |i| place(&i.env, &i.project)
}
operation! {
    /// Removes an environment with everything in it, or all but its files.
    EnvRemove: "env.remove" Delete "/environments/{env}" Change
    (EnvRemoveInput) -> Removed, |i| place(&i.env, &i.project)
}
operation! {
    /// Gives the kept output of the commands that ran in an environment, the oldest first.
    EnvLogs: "env.logs" Get "/environments/{env}/logs" Read
    (EnvLogsInput) -> Vec<RunLog>, |i| place(&i.env, &i.project)
}
