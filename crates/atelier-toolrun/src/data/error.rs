//! What goes wrong when a tool's data is saved and brought back, and what to do about it.

use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

use crate::{FileError, lifecycle, secrets};

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure with a tool's data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is declared, and there is no script.
    #[error("{slug} declares no data and has no script {script:?}")]
    Nothing {
        /// The tool.
        slug: String,
        /// `backup` or `restore`.
        script: &'static str,
    },
    /// A declared path that must not be touched.
    #[error("{slug} declares {given:?} as its data, which {why}")]
    Outside {
        /// The tool.
        slug: String,
        /// What is declared.
        given: String,
        /// Why that is refused.
        why: &'static str,
    },
    /// An SQLite database cannot be copied.
    #[error("the database {} cannot be saved: {why}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A volume.
    #[error("the volume {name} {why}")]
    Volume {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A command that saves or loads.
    #[error("{doing} {name} of {slug} ended with {code}: {said}")]
    Dump {
        /// The tool.
        slug: String,
        /// `saving` or `loading`.
        doing: &'static str,
        /// What the plugin calls it.
        name: String,
        /// Its code.
        code: i32,
        /// Its last lines, without secrets.
        said: String,
    },
    /// No such backup.
    #[error("{slug} has no backup {given:?}")]
    Unknown {
        /// The tool.
        slug: String,
        /// What was asked for.
        given: String,
        /// The newest ones.
        known: Vec<String>,
    },
    /// A backup that is not whole.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A backup that was sealed for other keys.
    #[error("{} was sealed for other keys than this machine's", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// A backup of another tool.
    #[error("{} is a backup of {of}, not of {slug}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        of: String,
        /// Whose it should be.
        slug: String,
    },
    /// The service.
    #[error(transparent)]
    Life(#[from] lifecycle::Error),
    /// The service could not be stopped, or started again.
    #[error("{0}")]
    Service(atelier_api::Problem),
    /// The key.
    #[error(transparent)]
    Settings(#[from] secrets::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Nothing { .. } => "tool.data.nothing",
            Self::Outside { .. } => "tool.data.outside",
            Self::Database { .. } => "tool.data.database",
            Self::Volume { .. } => "tool.data.volume",
            Self::Dump { .. } => "tool.data.dump",
            Self::Unknown { .. } => "tool.data.unknown",
            Self::Damaged { .. } => "tool.data.damaged",
            Self::Sealed { .. } => "tool.data.sealed",
            Self::Other { .. } => "tool.data.other",
            Self::Life(error) => error.code(),
            Self::Service(_) => "tool.data.service",
            Self::Settings(error) => error.code(),
            Self::File(_) => "tool.data.file",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Nothing { .. } | Self::Unknown { .. } => ExitCode::NotFound,
            Self::Outside { .. } | Self::Damaged { .. } | Self::Other { .. } => {
                ExitCode::InvalidInput
            }
            Self::Sealed { .. } => ExitCode::Configuration,
            Self::Volume { .. } => ExitCode::Engine,
            Self::Life(error) => error.exit(),
            Self::Service(problem) => problem.exit_code(),
            Self::Settings(error) => error.exit(),
            Self::Database { .. } | Self::Dump { .. } | Self::File(_) => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Nothing { .. } => vec![
                "name its data in custom/overrides.yaml: data: [{path: data}]; see docs/tool-services.md".into(),
            ],
            Self::Unknown { known, .. } if !known.is_empty() => {
                vec![format!("the newest are {}", known.join(", "))]
            }
            Self::Damaged { .. } => vec!["nothing was changed; take an older backup".into()],
            Self::Sealed { .. } => {
                vec!["it opens with keys/tools.key of the home that made it".into()]
            }
            Self::File(error) if error.source.kind() == std::io::ErrorKind::StorageFull => {
                vec!["make room on that disk; nothing was changed".into()]
            }
            Self::Life(error) => error.hints(),
            Self::Service(problem) => problem.hints.clone(),
            Self::Settings(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

impl From<Error> for crate::ToolsError {
    fn from(error: Error) -> Self {
        let (code, exit, hints) = (error.code(), error.exit(), error.hints());
        Self::Other { code, exit, message: error.to_string(), hints }
    }
}
