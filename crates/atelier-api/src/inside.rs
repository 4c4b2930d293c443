//! `sandbox.exec` and the calls about files and processes in a sandbox: one question, one answer.
//! Streams, terminals and large files go through the guest's own protocol ([`GUEST_PATH`]).
//!
//! [`GUEST_PATH`]: crate::sandbox::GUEST_PATH

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::sandbox::SandboxRef;
use crate::system::Nothing;

/// How bytes travel in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As text.
    #[default]
    Utf8,
    /// In Base64, with padding.
    Base64,
}

/// A command to its end.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxExecInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// The program and its arguments. For a shell's line: `["sh", "-c", LINE]`.
    pub command: Vec<String>,
    /// Variables, besides those of the sandbox.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The folder to start in; the sandbox's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The user; the sandbox's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it reads on its standard input; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Seconds after which it is killed; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How many bytes of each output are kept, the last ones: 1 MiB unless it says otherwise, at
    /// most 16 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
}

/// How a command ended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxExecuted {
    /// Its exit code; 128 and the signal's number when a signal ended it, 124 when its time was
    /// over.
    pub exit_code: i32,
    /// The end of its standard output; bytes that are no text are replaced by U+FFFD.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
    /// How many bytes of both outputs were not kept.
    pub lost_bytes: u64,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
}

/// A path in a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxPathInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Absolute, below `~`, or from the user's home.
    pub path: String,
}

/// A folder to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxFilesInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Absolute, below `~`, or from the user's home; the home when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How many levels down; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxFileKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// A file or folder in a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxFile {
    /// Its absolute path.
    pub path: String,
    /// What it is.
    pub kind: SandboxFileKind,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The permission bits, in octal digits.
    pub mode: String,
    /// The owner's name, or number.
    pub owner: String,
    /// The group's name, or number.
    pub group: String,
    /// When it was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
    /// Where a link leads to in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_to: Option<String>,
}

/// What a file holds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxContent {
    /// The bytes, as `encoding` says.
    pub content: String,
    /// `base64` when they are no text.
    pub encoding: Encoding,
    /// How many they are.
    pub size: u64,
}

/// Bytes for a file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxWriteInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Absolute, below `~`, or from the user's home. Folders above it are made.
    pub path: String,
    /// What it will hold.
    pub content: String,
    /// How that is to be read.
    #[serde(default)]
    pub encoding: Encoding,
}

/// A file to move.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxMoveInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// Where it is.
    pub from: String,
    /// Where it will be.
    pub to: String,
}

/// A process in a sandbox that somebody started from outside.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxProcess {
    /// Its number inside.
    pub pid: u32,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder that it started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// How it ended, as a shell says it; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// A signal for a process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxSignalInput {
    /// Id, unique beginning of an id, or name.
    pub sandbox: String,
    /// The process's number inside.
    pub pid: u32,
    /// The signal's Linux number; 15 (TERM) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

operation! {
    /// Runs a command in a sandbox to its end, and gives what it wrote.
    SandboxExec: "sandbox.exec" Post "/sandboxes/{sandbox}/exec" Change
    (SandboxExecInput) -> SandboxExecuted, |i| i.sandbox.clone()
}
operation! {
    /// Lists a folder of a sandbox.
    SandboxFiles: "sandbox.files" Get "/sandboxes/{sandbox}/files" Read
    (SandboxFilesInput) -> Vec<SandboxFile>, |i| i.sandbox.clone()
}
operation! {
    /// Gives what a file of a sandbox holds, up to 16 MiB.
    SandboxRead: "sandbox.read" Get "/sandboxes/{sandbox}/file" Read
    (SandboxPathInput) -> SandboxContent, |i| format!("{}:{}", i.sandbox, i.path)
}
operation! {
    /// Writes a file of a sandbox.
    SandboxWrite: "sandbox.write" Post "/sandboxes/{sandbox}/file" Change
    (SandboxWriteInput) -> SandboxFile, |i| format!("{}:{}", i.sandbox, i.path)
}
operation! {
    /// Removes a file or folder of a sandbox with everything in it; that it is not there is fine.
    SandboxDelete: "sandbox.delete" Delete "/sandboxes/{sandbox}/file" Change
    (SandboxPathInput) -> Nothing, |i| format!("{}:{}", i.sandbox, i.path)
}
operation! {
    /// Makes a folder in a sandbox, with those above it.
    SandboxMakeFolder: "sandbox.mkdir" Post "/sandboxes/{sandbox}/folders" Change
    (SandboxPathInput) -> SandboxFile, |i| format!("{}:{}", i.sandbox, i.path)
}
operation! {
    /// Moves a file or folder within a sandbox.
    SandboxMove: "sandbox.move" Post "/sandboxes/{sandbox}/move" Change
    (SandboxMoveInput) -> SandboxFile, |i| format!("{}:{}", i.sandbox, i.from)
}
operation! {
    /// Lists the commands that were started in a sandbox, those that ended not long ago as well.
    SandboxProcesses: "sandbox.processes" Get "/sandboxes/{sandbox}/processes" Read
    (SandboxRef) -> Vec<SandboxProcess>, |i| i.sandbox.clone()
}
operation! {
    /// Sends a signal to a command in a sandbox.
    SandboxSignal: "sandbox.signal" Post "/sandboxes/{sandbox}/processes/{pid}/signal" Change
    (SandboxSignalInput) -> Nothing, |i| format!("{}:{}", i.sandbox, i.pid)
}
