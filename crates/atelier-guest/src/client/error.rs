//! What goes wrong between the control plane and a guest.

use atelier_api::{ExitCode, Fault, Problem};

use crate::wire::{Code, ConnectError};

/// Why a call to a guest failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// Nothing listens at its address.
    #[error("the guest at {address} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke in the middle of a call.
    #[error("the connection to the guest broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The guest refused, or failed.
    #[error("{0}")]
    Refused(ConnectError),
    /// A plain HTTP path of the guest refused.
    #[error("{message}")]
    Http {
        /// The status.
        status: u16,
        /// What the guest said.
        message: String,
    },
    /// Whoever passes calls on to the guest refused.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The guest said something that is not the protocol.
    #[error("the guest answered with something unexpected: {0}")]
    Unexpected(String),
    /// What was to be sent, or where it was to go, failed on our side.
    #[error("{what}")]
    Local {
        /// What failed.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl GuestError {
    pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(error.into())
    }

    /// What a shell would have ended with, when a command could not be started: 127 when it was
    /// not found, 126 when it cannot be executed.
    #[must_use]
    pub fn shell_code(&self) -> Option<i32> {
        match self {
            Self::Refused(error) => error.exit_code,
            _ => None,
        }
    }

    /// The guest's code, when it was the guest that refused.
    #[must_use]
    pub fn connect_code(&self) -> Option<Code> {
        match self {
            Self::Refused(error) => Some(error.code),
            _ => None,
        }
    }
}

impl GuestError {
    /// The problem that it is, or that somebody on the way had.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => *problem,
            other => other.problem(),
        }
    }

    /// Whether the connection is what failed, and not the call.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken(_))
    }

    /// Whether the same call may do a moment later: the connection failed, or whoever passes calls on got
    /// no answer from the guest, which stands still while its sandbox is saved.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.is_connection() || matches!(self, Self::Http { status: 502..=504, .. })
    }
}

impl Fault for GuestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "guest.unreachable",
            Self::Broken(_) => "guest.broken",
            Self::Unexpected(_) => "guest.unexpected",
            Self::Local { .. } => "guest.local",
            Self::Problem(_) => "guest.not_passed_on",
            Self::Refused(error) if error.exit_code == Some(127) => "guest.command_not_found",
            Self::Refused(error) if error.exit_code == Some(126) => "guest.command_not_executable",
            Self::Refused(error) => match error.code {
                Code::NotFound => "guest.not_found",
                Code::AlreadyExists => "guest.already_exists",
                Code::InvalidArgument | Code::OutOfRange => "guest.invalid",
                Code::PermissionDenied | Code::Unauthenticated => "guest.not_permitted",
                Code::DeadlineExceeded => "guest.deadline_exceeded",
                _ => "guest.failed",
            },
            Self::Http { status, .. } => match status {
                404 => "guest.not_found",
                400 | 416 => "guest.invalid",
                401 | 403 => "guest.not_permitted",
                502 => "guest.port_not_open",
                507 => "guest.disk_full",
                _ => "guest.failed",
            },
        }
    }

    fn exit(&self) -> ExitCode {
        if let Self::Problem(problem) = self {
            return problem.exit_code();
        }
        match Fault::code(self) {
            "guest.unreachable" | "guest.broken" | "guest.unexpected" => ExitCode::Engine,
            "guest.not_found" | "guest.command_not_found" | "guest.port_not_open" => {
                ExitCode::NotFound
            }
            "guest.already_exists" => ExitCode::Conflict,
            "guest.invalid" => ExitCode::Usage,
            "guest.not_permitted" => ExitCode::NotPermitted,
            _ => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        if let Self::Problem(problem) = self {
            return problem.hints.clone();
        }
        let hint = match Fault::code(self) {
            "guest.unreachable" => "Is the sandbox running? Its log says why its guest ended.",
            "guest.broken" => "The process goes on; attach to it again.",
            "guest.command_not_found" => {
                "Install the command in the sandbox, or give its full path."
            }
            "guest.port_not_open" => "Start the server in the sandbox, or check its port.",
            "guest.disk_full" => "Remove files, or give the sandbox a bigger disk.",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
