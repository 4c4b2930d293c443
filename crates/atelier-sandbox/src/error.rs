//! What can go wrong with a sandbox, in words.

use std::io;
use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// The code of [`SandboxError::Unsavable`].
pub(crate) const UNSAVABLE: &str = "sandbox.not_savable";

/// Why a sandbox could not be made, started, reached or removed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No runtime of that name.
    #[error("there is no runtime {0:?}")]
    UnknownRuntime(String),
    /// The runtime can't do it on this machine.
    #[error("the runtime {runtime} can't start a sandbox here: {reason}")]
    Start {
        /// The runtime.
        runtime: &'static str,
        /// What the launcher said.
        reason: String,
        /// What would mend it.
        remedy: Option<String>,
    },
    /// A limit was asked for that can't be enforced here.
    #[error("the limit on {what} can't be enforced here: {why}")]
    Limit {
        /// `memory`, `cpus`, `processes` or `disk`.
        what: &'static str,
        /// Why not.
        why: String,
        /// What would mend it.
        remedy: String,
    },
    /// The runtime has no way to do it.
    #[error("the runtime {runtime} can't {what}")]
    Unsupported {
        /// The runtime.
        runtime: &'static str,
        /// What was asked for.
        what: &'static str,
        /// What can be done instead.
        remedy: String,
    },
    /// What runs in it can't be saved as it is at this moment. It goes on.
    #[error("the processes of this sandbox can't be saved by the runtime {runtime}: {why}")]
    Unsavable {
        /// The runtime.
        runtime: &'static str,
        /// What the program says that saves them.
        why: String,
        /// What would mend it.
        remedy: Option<String>,
    },
    /// A virtual machine.
    #[error(transparent)]
    Machine(#[from] atelier_vm::VmError),
    /// An image.
    #[error(transparent)]
    Image(#[from] atelier_image::ImageError),
    /// The guest does not answer.
    #[error("the sandbox does not answer")]
    Guest(#[from] atelier_guest::client::GuestError),
    /// A file operation of ours failed.
    #[error("{doing} {} failed", path.display())]
    Io {
        /// What was being done, such as `making`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] atelier_store::StoreError),
}

impl SandboxError {
    /// Wraps an I/O error with what was being done to which path.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl From<sqlx::Error> for SandboxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Fault for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownRuntime(_) => "runtime.unknown",
            Self::Start { .. } => "sandbox.start_failed",
            Self::Limit { .. } => "sandbox.limit_not_enforceable",
            Self::Unsupported { .. } => "sandbox.unsupported",
            Self::Unsavable { .. } => UNSAVABLE,
            Self::Machine(e) => e.code(),
            Self::Image(e) => e.code(),
            Self::Guest(_) => "sandbox.no_answer",
            Self::Io { .. } => "sandbox.io",
            Self::Store(e) => e.code(),
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::UnknownRuntime(_) => ExitCode::Usage,
            Self::Start { .. } | Self::Unsavable { .. } | Self::Guest(_) => ExitCode::Engine,
            Self::Limit { .. } | Self::Unsupported { .. } => ExitCode::Configuration,
            Self::Machine(e) => e.exit(),
            Self::Image(e) => e.exit(),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    ExitCode::Configuration
                }
                _ => ExitCode::Failed,
            },
            Self::Store(e) => e.exit(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownRuntime(_) => {
                vec![
                    "there are host, oci, gvisor, qemu and firecracker; 'atelier runtime ls' says which \
                     work"
                        .into(),
                ]
            }
            Self::Machine(e) => e.hints(),
            Self::Image(e) => e.hints(),
            Self::Start { remedy, .. } => {
                let mut hints: Vec<String> = remedy.iter().cloned().collect();
                hints.push("run 'atelier doctor' to see what this machine lacks".into());
                hints
            }
            Self::Unsavable { remedy, .. } => {
                let mut hints: Vec<String> = remedy.iter().cloned().collect();
                hints.push(
                    "the sandbox goes on as it was; end what can't be saved and try again, or take a snapshot \
                     of its files ('--files-only')"
                        .into(),
                );
                hints
            }
            Self::Limit { remedy, .. } | Self::Unsupported { remedy, .. } => vec![remedy.clone()],
            Self::Guest(_) => vec!["stop it with 'atelier env stop ENV' or 'atelier sandbox stop SANDBOX' and try again".into()],
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => {
                    vec!["free some space, or point ATELIER_HOME at another disk".into()]
                }
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    vec!["point ATELIER_HOME at a folder that you may write".into()]
                }
                _ => Vec::new(),
            },
            Self::Store(e) => e.hints(),
        }
    }
}
