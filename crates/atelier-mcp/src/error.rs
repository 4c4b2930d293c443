//! What goes wrong with servers, and what to do about it.

use std::io;
use std::time::Duration;

use atelier_api::{ExitCode, Fault};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, McpError>;

/// A failure of a conversation with a server. No text of it holds a secret that the caller named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McpError {
    /// What was given cannot be a server.
    #[error("{why}")]
    Target {
        /// What is wrong with it.
        why: String,
    },
    /// Its program cannot be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Its program ended while we waited.
    #[error("the server ended ({how}) while we waited for {step}{}", quoted(said))]
    Died {
        /// For what.
        step: &'static str,
        /// How it ended.
        how: String,
        /// What it said last.
        said: String,
    },
    /// It does not answer.
    #[error("the server gave no answer to {step} within {}{}", seconds(*after), quoted(said))]
    Silent {
        /// To what.
        step: &'static str,
        /// How long we waited.
        after: Duration,
        /// What it said last.
        said: String,
    },
    /// It writes to standard output what is no message.
    #[error(
        "the server writes to its standard output what is no MCP message: {line:?}{}",
        quoted(said)
    )]
    Garbage {
        /// The first such line.
        line: String,
        /// What it said last.
        said: String,
    },
    /// It says more than is allowed.
    #[error("the server says too much: {what}")]
    TooMuch {
        /// More of what than how much.
        what: String,
    },
    /// It breaks the protocol.
    #[error("the server's answer to {step} is not what the protocol says: {why}")]
    Protocol {
        /// To what.
        step: &'static str,
        /// What is wrong.
        why: String,
    },
    /// It answers with an error.
    #[error("the server refuses {step}: {message} ({code})")]
    Refused {
        /// What.
        step: &'static str,
        /// JSON-RPC's code.
        code: i32,
        /// What it says.
        message: String,
    },
    /// There is no way to it.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Which.
        server: String,
        /// Why.
        why: String,
    },
    /// It wants to know who asks.
    #[error("{server} wants a permission that it was not given")]
    Unauthorized {
        /// Which.
        server: String,
        /// What it asks for (`WWW-Authenticate`).
        challenge: String,
    },
    /// The permission was not given.
    #[error("the permission for {server} could not be had: {why}")]
    Permission {
        /// For which server.
        server: String,
        /// Why.
        why: String,
    },
    /// A server of ours cannot do its work.
    #[error("the MCP server cannot {doing}: {source}")]
    Serve {
        /// What.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// What a server said last, as the end of a sentence.
fn quoted(said: &str) -> String {
    match said.is_empty() {
        true => String::new(),
        false => format!("; it said:\n{said}"),
    }
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        _ => format!("{} s", time.as_secs()),
    }
}

impl Fault for McpError {
    fn code(&self) -> &'static str {
        match self {
            Self::Target { .. } => "mcp.target",
            Self::Start { .. } => "mcp.start",
            Self::Died { .. } => "mcp.died",
            Self::Silent { .. } => "mcp.silent",
            Self::Garbage { .. } => "mcp.garbage",
            Self::TooMuch { .. } => "mcp.too_much",
            Self::Protocol { .. } => "mcp.protocol",
            Self::Refused { .. } => "mcp.refused",
            Self::Unreachable { .. } => "mcp.unreachable",
            Self::Unauthorized { .. } => "mcp.unauthorized",
            Self::Permission { .. } => "mcp.permission",
            Self::Serve { .. } => "mcp.serve",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Target { .. } => ExitCode::InvalidInput,
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ExitCode::Configuration
            }
            Self::Unauthorized { .. } | Self::Permission { .. } => ExitCode::NotPermitted,
            Self::Serve { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                ExitCode::PortInUse
            }
            Self::Serve { .. } => ExitCode::Failed,
            _ => ExitCode::Engine,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Start { program, source } if source.kind() == io::ErrorKind::NotFound => {
                format!("install {program}, or give its whole path")
            }
            Self::Garbage { .. } => {
                "a server's standard output is for messages only: its logs belong on standard error"
                    .into()
            }
            Self::Silent { .. } => {
                "the first start may install something: try again, or allow it more time".into()
            }
            Self::Unauthorized { .. } => {
                "give it a header with a token, or log in where it offers OAuth".into()
            }
            Self::Died { .. } => "run its command by hand to see what it misses".into(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
