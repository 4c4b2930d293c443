//! How a call can fail on this side of the wire.

use std::io;

use atelier_api::session::VERSION_MISMATCH;
use atelier_api::{ExitCode, Problem};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The control plane answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// Nobody could be reached.
    #[error("the control plane at {endpoint} cannot be reached: {source}")]
    Connect {
        /// Where.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to the control plane was lost: {0}")]
    Lost(String),
    /// The request did not leave this process, so it may be sent again.
    #[error("the control plane closed the connection before the request was sent")]
    NotSent,
    /// The answer makes no sense.
    #[error("the control plane's answer cannot be understood: {0}")]
    Protocol(String),
    /// The address of the control plane is not one.
    #[error("{given:?} is not an address of a control plane: {why}")]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The control plane could not be started.
    #[error("the control plane could not be started: {why}")]
    Start {
        /// Why.
        why: String,
        /// The last lines of its log.
        log: Vec<String>,
        /// What its exit code says; [`ExitCode::Configuration`] when it says nothing.
        exit: ExitCode,
    },
}

impl ClientError {
    /// Whether nobody listens there: the control plane may be started.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let absent = |e: &io::Error| {
            // Not a directory: the home is a file, which whoever starts it will say better.
            matches!(
                e.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::ConnectionRefused
                    // It was killed, and its socket goes at this moment.
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotADirectory
            )
        };
        matches!(self, Self::Connect { source, .. } if absent(source))
    }

    /// Whether the control plane is of another version than this client.
    #[must_use]
    pub fn is_version_mismatch(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == VERSION_MISMATCH)
    }

    /// Whether the connection is what failed, and not the call.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Lost(_) | Self::NotSent)
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Problem(problem) => *problem,
            ClientError::Connect { source, .. } => {
                let denied = source.kind() == io::ErrorKind::PermissionDenied;
                let exit = if denied { ExitCode::NotPermitted } else { ExitCode::Configuration };
                Self::new("control_plane.unreachable", exit, text).hint(if denied {
                    "it belongs to another user; use your own: unset ATELIER_HOME and ATELIER_HOST"
                } else {
                    "start it with `atelier serve`, or unset ATELIER_HOST to use your own"
                })
            }
            ClientError::Lost(_) | ClientError::NotSent => {
                Self::new("control_plane.lost", ExitCode::Failed, text)
                    .hint("see whether it did what was asked, then try again")
                    .hint("`atelier doctor` checks it; its log is serve.log in the home folder")
            }
            ClientError::Protocol(_) => Self::new("control_plane.protocol", ExitCode::Failed, text)
                .hint("`atelier stop` ends a control plane of another version"),
            ClientError::Address { .. } => Self::new("host.invalid", ExitCode::Usage, text)
                .hint("write unix:/path/of/socket or http://127.0.0.1:PORT in ATELIER_HOST"),
            ClientError::Start { log, exit, .. } => not_started(text, &log, exit),
        }
    }
}

/// The control plane says why it ends as every command does: `error:` and `hint:` lines. What it
/// said becomes the problem; a log without them is shown as it is.
fn not_started(text: String, log: &[String], exit: ExitCode) -> Problem {
    let last = log.iter().rposition(|line| line.starts_with("error: "));
    let Some(at) = last else {
        let shown = log.iter().map(|line| format!("its log: {line}")).collect();
        return Problem::new("control_plane.start", exit, text)
            .with_hints(shown)
            .hint("`atelier doctor` looks for the cause");
    };
    let said = log[at].trim_start_matches("error: ");
    let detail = format!("the control plane could not be started: {said}");
    let hints = log[at..].iter().filter_map(|line| line.strip_prefix("hint: "));
    Problem::new("control_plane.start", exit, detail).with_hints(hints.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_control_plane_said_last_is_why_it_did_not_start() {
        let log = ["INFO serving", "error: the disk is full", "hint: free some space"];
        let error = ClientError::Start {
            why: "it ended: failed".into(),
            log: log.map(str::to_owned).to_vec(),
            exit: ExitCode::Failed,
        };
        let problem = Problem::from(error);
        assert!(problem.detail.ends_with("started: the disk is full"), "{}", problem.detail);
        assert_eq!(problem.hints, ["free some space"]);
    }
}
