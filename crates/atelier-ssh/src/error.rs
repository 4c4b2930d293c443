//! What can go wrong with the SSH server.

use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// Why the server can't serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The host key can't be read or written.
    #[error("the SSH host key {} can't be used", path.display())]
    HostKeyFile {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What the file holds is no key, or one with a passphrase.
    #[error("the SSH host key {} is not a private key in OpenSSH's format without a passphrase", path.display())]
    HostKey {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: russh::keys::ssh_key::Error,
    },
}

impl Fault for SshError {
    fn code(&self) -> &'static str {
        "ssh.host_key"
    }

    fn exit(&self) -> ExitCode {
        ExitCode::Configuration
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::HostKeyFile { .. } => vec!["check that ATELIER_HOME is writable".into()],
            Self::HostKey { .. } => {
                vec!["move the file away: a new key is made, and clients ask about it again".into()]
            }
        }
    }
}
