//! Messages of `process.Process`.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Blob, SignalNumber, int64};

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessConfig {
    /// The program: a path, or a name that is looked for in the process's own `PATH`.
    pub cmd: String,
    /// Its arguments, without the program itself.
    pub args: Vec<String>,
    /// Variables on top of the guest's.
    pub envs: BTreeMap<String, String>,
    /// The folder to start in; relative ones start at the user's home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Ours: what of the above is no text, as the bytes that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawConfig>,
}

/// A command whose words or folder are no UTF-8. It stands above the text, which is for showing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RawConfig {
    /// The program.
    pub cmd: Blob,
    /// Its arguments.
    pub args: Vec<Blob>,
    /// The folder to start in, an absolute path.
    pub cwd: Blob,
}

impl ProcessConfig {
    /// A command whose words and folder may be any bytes.
    #[must_use]
    pub fn of_bytes(
        cmd: &Path,
        args: &[PathBuf],
        envs: BTreeMap<String, String>,
        cwd: &Path,
    ) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let bytes = |path: &Path| Blob::from(path.as_os_str().as_bytes().to_vec());
        let is_text = |path: &Path| path.to_str().is_some();
        let all_text = is_text(cmd) && is_text(cwd) && args.iter().all(|a| is_text(a));
        Self {
            cmd: text(cmd),
            args: args.iter().map(|a| text(a)).collect(),
            envs,
            cwd: Some(text(cwd)),
            raw: (!all_text).then(|| RawConfig {
                cmd: bytes(cmd),
                args: args.iter().map(|a| bytes(a)).collect(),
                cwd: bytes(cwd),
            }),
        }
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PtySize {
    /// Width.
    pub cols: u32,
    /// Height.
    pub rows: u32,
}

/// A terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pty {
    /// Its size.
    pub size: PtySize,
}

/// Starts a process; the response is a stream of [`EventMessage`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartRequest {
    /// What to run.
    pub process: ProcessConfig,
    /// Gives it a terminal instead of pipes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pty: Option<Pty>,
    /// A name of the caller's to find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whether it gets a pipe on its standard input; absent means yes, as in E2B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
}

/// Names a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selector {
    /// By its id inside the sandbox.
    Pid(u32),
    /// By the tag it was started with.
    Tag(String),
}

impl From<u32> for Selector {
    fn from(pid: u32) -> Self {
        Self::Pid(pid)
    }
}

/// Follows a process that runs, or reads how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectRequest {
    /// Which.
    pub process: Selector,
    /// Ours: first send what is kept from this offset on. Absent means new output only.
    #[serde(default, with = "int64", skip_serializing_if = "Option::is_none")]
    pub from_offset: Option<u64>,
}

/// One message of a `Start` or `Connect` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMessage {
    /// What happened.
    pub event: ProcessEvent,
}

/// What happens to a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessEvent {
    /// It runs. Always first.
    Start(StartEvent),
    /// It wrote.
    Data(DataEvent),
    /// It ended. Always last.
    End(EndEvent),
    /// Nothing happened for a while.
    Keepalive(KeepAlive),
    /// Ours: output that is no longer kept; only after `fromOffset`.
    Gap(GapEvent),
}

/// A process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartEvent {
    /// Its id inside the sandbox.
    pub pid: u32,
    /// Ours: where in its output this stream begins.
    #[serde(with = "int64", skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal.
    Pty,
}

/// Output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawData", into = "RawData")]
pub struct DataEvent {
    /// Where from.
    pub stream: Stream,
    /// What.
    pub bytes: Bytes,
    /// Ours: how many bytes of output, of all its streams, came before these.
    pub offset: Option<u64>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct RawData {
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pty: Option<Blob>,
    #[serde(with = "int64", skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

impl From<RawData> for DataEvent {
    fn from(raw: RawData) -> Self {
        let (stream, blob) = match (raw.stdout, raw.stderr, raw.pty) {
            (_, Some(blob), _) => (Stream::Stderr, blob),
            (_, _, Some(blob)) => (Stream::Pty, blob),
            (blob, ..) => (Stream::Stdout, blob.unwrap_or_default()),
        };
        Self { stream, bytes: blob.0, offset: raw.offset }
    }
}

impl From<DataEvent> for RawData {
    fn from(data: DataEvent) -> Self {
        let mut raw = Self { offset: data.offset, ..Self::default() };
        let blob = Some(Blob(data.bytes));
        match data.stream {
            Stream::Stdout => raw.stdout = blob,
            Stream::Stderr => raw.stderr = blob,
            Stream::Pty => raw.pty = blob,
        }
        raw
    }
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndEvent {
    /// What it ended with; -1 when a signal ended it.
    pub exit_code: i32,
    /// Whether it ended by itself.
    pub exited: bool,
    /// `exit status 3`, or `signal: killed`.
    pub status: String,
    /// The status again, unless it ended with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Ours: the signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Ours: how many bytes it wrote.
    #[serde(with = "int64", skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl EndEvent {
    /// What a shell would end with: the exit code, or 128 and the signal's number.
    #[must_use]
    pub fn shell_code(&self) -> i32 {
        self.signal.map_or(self.exit_code, |signal| 128 + signal)
    }
}

/// Nothing happened for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAlive {}

/// Output that is no longer kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GapEvent {
    /// The first byte that is missing.
    #[serde(with = "int64")]
    pub from: Option<u64>,
    /// The first byte that is kept.
    #[serde(with = "int64")]
    pub to: Option<u64>,
}

/// Lists processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListRequest {
    /// Ours: also those that ended and are still kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// A process in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInfo {
    /// What it runs.
    pub config: ProcessConfig,
    /// Its id inside the sandbox.
    pub pid: u32,
    /// The caller's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Ours: how it ended, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EndEvent>,
    /// Ours: when it began and when it ended, in milliseconds since 1970; only where those that
    /// ended are asked for as well.
    #[serde(rename = "startedAt", with = "int64", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// See above.
    #[serde(rename = "endedAt", with = "int64", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
}

/// Processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListResponse {
    /// By id.
    pub processes: Vec<ProcessInfo>,
}

/// Gives a terminal another size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// Whose.
    pub process: Selector,
    /// The new size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pty: Option<Pty>,
}

/// Bytes for a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessInput {
    /// For its standard input.
    Stdin(Blob),
    /// For its terminal, as if typed.
    Pty(Blob),
}

/// Sends bytes to a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendInputRequest {
    /// Which.
    pub process: Selector,
    /// What.
    pub input: ProcessInput,
}

/// One message of a `StreamInput` call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamInputRequest {
    /// Says which process; always first.
    Start(SelectorMessage),
    /// Sends bytes.
    Data(InputMessage),
    /// Keeps the connection open.
    Keepalive(KeepAlive),
}

/// The process that a call is about; also `CloseStdin`'s request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectorMessage {
    /// Which.
    pub process: Selector,
}

/// Bytes in a `StreamInput` call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputMessage {
    /// What.
    pub input: ProcessInput,
}

/// Sends a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendSignalRequest {
    /// To which process.
    pub process: Selector,
    /// Which signal.
    pub signal: SignalNumber,
}

/// A message without content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}
