//! What can be wrong with settings and with the home folder.

use std::io;
use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// A setting or a home folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is nowhere to keep anything.
    #[error("there is no home folder for Atelier: neither ATELIER_HOME nor HOME is set")]
    NoHome,
    /// A folder of the home could not be made.
    #[error("the folder {path:?} could not be made: {}", why(.source))]
    Prepare {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder's place is taken by something else.
    #[error("{path:?} should be a folder and is something else")]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// The file of settings cannot be read.
    #[error("the settings {path:?} cannot be read: {}", why(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of settings is not valid.
    #[error("{}:{line}:{column}: {message}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Counted from 1, in characters.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// An environment variable is not valid.
    #[error("{name}={value}: {message}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        message: String,
    },
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "the filesystem is read-only".into(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        _ => error.to_string(),
    }
}

impl Fault for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoHome => "home.missing",
            Self::Prepare { .. } | Self::NotAFolder { .. } => "home.unusable",
            Self::Read { .. } => "config.unreadable",
            Self::File { .. } => "config.invalid",
            Self::Variable { .. } => "config.variable_invalid",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::File { .. } => ExitCode::InvalidInput,
            Self::Variable { .. } => ExitCode::Usage,
            _ => ExitCode::Configuration,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoHome => "set ATELIER_HOME to a folder that you can write to",
            Self::Prepare { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                "free some space, or set ATELIER_HOME to a folder on another disk"
            }
            Self::Prepare { .. } | Self::NotAFolder { .. } => {
                "set ATELIER_HOME to a folder that you can write to"
            }
            Self::Read { .. } => "make the file readable for you, or remove it",
            Self::File { .. } => "correct the file; `atelier config` lists the settings",
            Self::Variable { name, .. } => return vec![format!("correct or unset {name}")],
        };
        vec![hint.to_owned()]
    }
}
