//! Sessions: the streaming twin of operations. A session is a WebSocket; text messages are JSON
//! ([`ToServer`], [`ToClient`]), binary messages carry bytes of a stream ([`Chunk`]).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EnvOptions, Environment, HostPath, Name, Problem};

/// Where a session of a command begins, below the API's root.
pub const RUN_PATH: &str = "/run";
/// The permission that a session needs, and its name in the audit log.
pub const RUN_NAME: &str = "env.run";
/// The name of a command in a service's container in the audit log.
pub const EXEC_NAME: &str = "env.exec";
/// Where events are sent (`text/event-stream`).
pub const EVENTS_PATH: &str = "/events";
/// The header with the client's version; the control plane refuses another version's client over
/// its Unix socket, so that the client can restart it.
pub const VERSION_HEADER: &str = "atelier-version";

/// The header of a client that may lose its connection and come back: a command goes on without it, and
/// is told only of a client that says goodbye (a WebSocket's close).
pub const LINGERS_HEADER: &str = "atelier-lingers";

/// How much standard input a client sends ahead of [`ToClient::StdinTaken`], in bytes. A server
/// that keeps so much can always go on reading, and so sees signals and a client that is gone.
pub const STDIN_WINDOW: u64 = 1024 * 1024;
/// The problem's code when the client is of another version than the control plane.
pub const VERSION_MISMATCH: &str = "version.mismatch";

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// Asks for a command in an environment, which is made when it is not there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunStart {
    /// How the project's services are started first; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<crate::service::UpOptions>,
    /// The environment's name.
    pub env: Name,
    /// The folder in the project that the user stands in; the command starts in the same folder
    /// of the environment.
    pub project: HostPath,
    /// The command and its arguments, each percent-encoded as a [`HostPath`] when not UTF-8. The
    /// user's shell when empty.
    #[serde(default)]
    pub command: Vec<HostPath>,
    /// What a new environment is made with.
    #[serde(default)]
    pub options: EnvOptions,
    /// Variables of this command alone: stronger than any other.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// What a command expects of its caller's shell (`PATH`, `LANG`, ...): weaker than what the
    /// environment and its project set.
    #[serde(default)]
    pub inherited: BTreeMap<String, String>,
    /// A terminal of this size, or plain pipes.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
    /// Whether standard input is sent.
    #[serde(default)]
    pub stdin: bool,
    /// Remove the environment when the command has ended.
    #[serde(default)]
    pub remove: bool,
    /// Refuse an environment that exists already.
    #[serde(default)]
    pub new: bool,
    /// Leave the command to itself once it runs: the session ends with [`ToClient::Started`].
    #[serde(default)]
    pub detach: bool,
}

/// Goes to a command that runs: one whose connection was lost, or that was left to itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunAttach {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// The command's number, from [`ToClient::Started`]; the only one that runs when absent.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The offset of the first byte of output that the client has not seen; only what is new when absent.
    #[serde(default)]
    pub offset: Option<u64>,
    /// Leave the command running when this session ends without a word. Otherwise it is hung up on, as by
    /// a terminal that closes.
    #[serde(default)]
    pub leave: bool,
}

/// Asks for a command in the container of a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStart {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// The service.
    pub service: String,
    /// Which of its containers, counted from 1; the first when absent.
    #[serde(default)]
    pub index: Option<u32>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables of this command alone.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The user to run as: a name, UID or UID:GID; the container's own when absent.
    #[serde(default)]
    pub user: Option<String>,
    /// The folder to start in; the container's own when absent.
    #[serde(default)]
    pub folder: Option<String>,
    /// A terminal of this size, or plain pipes.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
    /// Whether standard input is sent.
    #[serde(default)]
    pub stdin: bool,
}

/// Asks for what services write, as they write it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFollow {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Only these; all when empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// Only so many of the lines that each has written before; all that are kept when absent.
    #[serde(default)]
    pub tail: Option<u32>,
}

/// What a client says. The first message is `start`, `attach`, `exec` or `logs`; binary messages are
/// standard input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToServer {
    /// Begins a command.
    Start(Box<RunStart>),
    /// Goes to one that runs.
    Attach(RunAttach),
    /// Begins a command in a service's container.
    Exec(Box<ServiceStart>),
    /// Follows what services write.
    Logs(ServiceFollow),
    /// Ends the session and leaves the command running.
    Detach {},
    /// The terminal has a new size.
    Resize(TerminalSize),
    /// Sends a signal, by its Linux number.
    Signal {
        /// The number, such as 15 for SIGTERM.
        signal: i32,
    },
    /// Standard input has ended.
    CloseStdin {},
}

/// What the server says. Binary messages are [`Chunk`]s.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToClient {
    /// The environment is being made; sent once, before `started`.
    Creating {},
    /// The command runs.
    Started {
        /// The environment it runs in.
        environment: Box<Environment>,
        /// Whether the environment is new.
        created: bool,
        /// The command's number inside.
        pid: u32,
        /// Whether it has a terminal.
        terminal: bool,
        /// What the reader should know.
        notes: Vec<String>,
    },
    /// The command in the service's container runs.
    Runs {},
    /// The output that follows is of this container of this service.
    Source {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
    },
    /// Of the standard input that came over this connection, so many bytes in all have been
    /// passed on to the command. Sent for the first time (with 0) before `started` by a server
    /// that wants the client to keep to [`STDIN_WINDOW`], so that signals overtake no input.
    StdinTaken {
        /// How many, counted from the connection's start.
        bytes: u64,
    },
    /// So many bytes of output are too old to be had.
    Gap {
        /// How many.
        bytes: u64,
    },
    /// The command ended.
    Exit {
        /// Its exit code; 128 and the signal's number when a signal ended it.
        code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Why, when it did not end by itself: a limit that it met.
        reason: Option<String>,
    },
    /// It failed.
    Problem {
        /// Why.
        problem: Problem,
    },
    /// The control plane stops; go back to the command through the next one.
    GoingAway {},
}

/// Which stream bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// A terminal.
    Terminal = 3,
}

/// Bytes of output: one byte for the stream, eight (big endian) for the offset after them, then
/// the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Which stream.
    pub stream: Stream,
    /// The offset of the next byte.
    pub next: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(9 + self.bytes.len());
        message.push(self.stream as u8);
        message.extend_from_slice(&self.next.to_be_bytes());
        message.extend_from_slice(self.bytes);
        message
    }

    /// The inverse; `None` for what no [`Chunk::encode`] gives.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let (head, bytes) = message.split_at_checked(9)?;
        let stream = match head[0] {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::Terminal,
            _ => return None,
        };
        let next = u64::from_be_bytes(head[1..].try_into().ok()?);
        Some(Self { stream, next, bytes })
    }
}

/// Something that happened, for dashboards.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Counts up from the control plane's start.
    pub id: u64,
    /// When.
    pub at: jiff::Timestamp,
    /// What, such as `env.created`.
    pub kind: String,
    /// To what, such as `project/env`.
    pub subject: String,
    /// The details.
    pub data: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_survive_the_wire() {
        let chunk = Chunk { stream: Stream::Stderr, next: 7_000_000_000, bytes: b"oh\0no" };
        assert_eq!(Chunk::decode(&chunk.encode()), Some(chunk));
        assert_eq!(Chunk::decode(b"\x09short"), None);
        assert_eq!(Chunk::decode(&[9, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
