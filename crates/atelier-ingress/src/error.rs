//! What can go wrong before the first request.

use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// Why there is no certificate authority, or no TLS.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// A file of keys could not be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than its owner may read a private key.
    #[error("the private key {} may be read by others (mode {mode:o})", path.display())]
    OpenKey {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file does not hold what its name says.
    #[error("{} does not hold {expected}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// Why it is not that.
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error("the certificate {} does not belong to the key {}", certificate.display(), key.display())]
    NoPair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The system keeps its authorities where nobody here knows.
    #[error("this system has no store of authorities that is known here")]
    NoStore,
    /// A program of the system failed.
    #[error("`{command}` failed: {why}")]
    Command {
        /// As one would type it.
        command: String,
        /// Its own words.
        why: String,
    },
    /// The library refused to make a certificate or a TLS setup.
    #[error("cannot make {what}: {reason}")]
    Crypto {
        /// What was to be made.
        what: &'static str,
        /// Why it was not.
        reason: String,
    },
}

impl IngressError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    pub(crate) fn crypto<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Crypto { what, reason: error.to_string() }
    }
}

impl Fault for IngressError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "ingress.key_file",
            Self::OpenKey { .. } => "ingress.key_permissions",
            Self::Content { .. } => "ingress.key_content",
            Self::NoPair { .. } => "ingress.key_mismatch",
            Self::Crypto { .. } => "ingress.tls",
            Self::NoStore => "trust.no_store",
            Self::Command { .. } => "trust.command_failed",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Crypto { .. } => ExitCode::Failed,
            Self::Command { .. } => ExitCode::Engine,
            _ => ExitCode::Configuration,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::OpenKey { path, .. } => vec![format!("chmod 600 {}", path.display())],
            Self::NoPair { certificate, key } => vec![format!(
                "name the two files of one pair; if {} and {} are atelier's own, move both away and new ones \
                 are made",
                certificate.display(),
                key.display()
            )],
            Self::Content { path, expected, .. } => {
                vec![format!("{} must hold {expected} in PEM form", path.display())]
            }
            Self::NoStore => vec![
                "install ca-certificates, or give the certificate to the programs that need it"
                    .to_owned(),
            ],
            Self::File { .. } | Self::Crypto { .. } | Self::Command { .. } => Vec::new(),
        }
    }
}
