//! What goes wrong with a tool's settings, and what to do about it.

use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

use crate::FileError;

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure with a tool's settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of settings holds something else.
    #[error("{} is not a file of settings: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The private key file holds something else, or everybody may read it.
    #[error("{} {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Secrets that this machine's key does not open.
    #[error("the secrets of {slug} were sealed for other keys than this machine's: {}", names.join(", "))]
    Sealed {
        /// The tool.
        slug: String,
        /// The settings.
        names: Vec<String>,
        /// This machine's public key.
        own: String,
    },
    /// A recipient that is none.
    #[error("{given:?} is not an age public key (age1…)")]
    Recipient {
        /// What was given.
        given: String,
    },
    /// Encryption failed.
    #[error("{name} cannot be encrypted: {why}")]
    Encrypt {
        /// The setting.
        name: String,
        /// Why.
        why: String,
    },
    /// A value that the setting does not take.
    #[error("{name} {why}")]
    Value {
        /// The setting.
        name: String,
        /// What is wrong, without the value.
        why: String,
    },
    /// The plugin declares no such setting.
    #[error("{slug} has no setting {name}")]
    Unknown {
        /// The tool.
        slug: String,
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A secret in an argument list, where every user of the machine can read it.
    #[error("{name} is a secret and must not stand on the command line")]
    OnCommandLine {
        /// The setting.
        name: String,
    },
    /// Two settings from one standard input.
    #[error("{first} and {second} cannot both be read from the standard input")]
    InputTwice {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// Required settings without a value.
    #[error("{slug} needs {}", names.join(", "))]
    Missing {
        /// The tool.
        slug: String,
        /// All that are missing.
        names: Vec<String>,
    },
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::File(_) => "tool.settings.file",
            Self::Format { .. } => "tool.settings.format",
            Self::Key { .. } => "tool.settings.key",
            Self::Sealed { .. } => "tool.settings.sealed",
            Self::Recipient { .. } => "tool.settings.recipient",
            Self::Encrypt { .. } => "tool.settings.encrypt",
            Self::Value { .. } => "tool.settings.value",
            Self::Unknown { .. } => "tool.settings.unknown",
            Self::OnCommandLine { .. } => "tool.settings.exposed",
            Self::InputTwice { .. } => "tool.settings.input_twice",
            Self::Missing { .. } => "tool.settings.missing",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::File(_) | Self::Encrypt { .. } => ExitCode::Failed,
            Self::Format { .. } => ExitCode::InvalidInput,
            Self::Key { .. } | Self::Sealed { .. } | Self::Missing { .. } => {
                ExitCode::Configuration
            }
            Self::Recipient { .. }
            | Self::Value { .. }
            | Self::OnCommandLine { .. }
            | Self::InputTwice { .. } => ExitCode::Usage,
            Self::Unknown { .. } => ExitCode::NotFound,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Sealed { slug, own, .. } => vec![
                format!(
                    "on a machine that can read them: atelier tool recipient add {own}, then atelier tool sync"
                ),
                "or copy keys/tools.key of that machine's home to this one's, mode 0600".into(),
                format!("or give them anew: atelier tool setup {slug}"),
            ],
            Self::OnCommandLine { name } => vec![
                format!("from a file: {name}=@FILE; from the standard input: {name}=-"),
                format!("or from the variable of that name: {name}"),
            ],
            Self::Missing { slug, .. } => vec![format!("atelier tool setup {slug}")],
            Self::Unknown { known, .. } if !known.is_empty() => {
                vec![format!("there are {}", known.join(", "))]
            }
            Self::Format { path, .. } => vec![format!("mend {}", path.display())],
            Self::InputTwice { .. } => vec!["give one of them with @FILE".into()],
            _ => Vec::new(),
        }
    }
}

impl From<Error> for crate::ToolsError {
    fn from(error: Error) -> Self {
        Self::of_part(&error)
    }
}
