//! What can go wrong with a virtual machine, in words.

use std::io;
use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, VmError>;

/// Why a virtual machine could not be made, started, saved or reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// A program or a file that machines need is not on this host.
    #[error("{what} is missing: {why}")]
    Missing {
        /// What is missing, such as `QEMU`.
        what: &'static str,
        /// Where it was looked for, or what is wrong with what was found.
        why: String,
        /// What mends it.
        remedy: String,
    },
    /// A kernel that can't be used.
    #[error("the kernel {} can't be used: {why}", path.display())]
    Kernel {
        /// The kernel.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The monitor refused a request.
    #[error("{monitor} refused {request}: {why}")]
    Refused {
        /// `QEMU` or `Firecracker`.
        monitor: &'static str,
        /// What was asked of it.
        request: String,
        /// What it said.
        why: String,
    },
    /// The monitor or the machine in it ended, or never got as far as it should.
    #[error("the virtual machine {what}: {why}")]
    Machine {
        /// Such as `did not boot`.
        what: &'static str,
        /// What is known.
        why: String,
    },
    /// A saved state does not fit.
    #[error("the saved machine in {} can't be started: {why}", folder.display())]
    State {
        /// Where it is.
        folder: PathBuf,
        /// Why not.
        why: String,
    },
    /// A helper program failed.
    #[error("{program} failed: {why}")]
    Helper {
        /// The program.
        program: String,
        /// What it said.
        why: String,
    },
    /// A file operation failed.
    #[error("{doing} {} failed", path.display())]
    Io {
        /// What was being done, such as `making`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl VmError {
    /// Wraps an I/O error with what was being done to which path.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl Fault for VmError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "vm.missing",
            Self::Kernel { .. } => "vm.kernel_unusable",
            Self::Refused { .. } => "vm.refused",
            Self::Machine { .. } => "vm.failed",
            Self::State { .. } => "vm.state_unusable",
            Self::Helper { .. } => "vm.helper_failed",
            Self::Io { .. } => "vm.io",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Missing { .. } | Self::Kernel { .. } => ExitCode::Configuration,
            Self::Io { .. } => ExitCode::Failed,
            _ => ExitCode::Engine,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { remedy, .. } => vec![remedy.clone()],
            Self::Kernel { .. } => vec![
                "install a kernel made for virtual machines (Debian: apt install \
                 linux-image-cloud-amd64)"
                    .to_owned(),
            ],
            Self::State { .. } => {
                vec!["make it again: a saved machine fits the monitor that saved it".to_owned()]
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                vec!["free some space, or point ATELIER_HOME at another disk".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
