//! What can go wrong with a Compose project, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Fault};

/// The result of everything in this crate.
pub type Result<T, E = ComposeError> = std::result::Result<T, E>;

/// What to install where the loader of our own is not enough.
const INSTALL: &str = "install Docker Compose 2 or newer (Debian and Ubuntu: `docker-compose-v2` or \
     `docker-compose-plugin`; Fedora: `docker-compose`), or name its program in ATELIER_COMPOSE";

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// A Compose file is not valid.
    #[error("{}{message}", place(file.as_deref(), *line, *column))]
    Invalid {
        /// The file, when it is known.
        file: Option<PathBuf>,
        /// From 1.
        line: Option<u64>,
        /// From 1.
        column: Option<u64>,
        /// What is wrong.
        message: String,
    },
    /// Something in a Compose file is not possible here.
    #[error("{}`{key}` is not supported: {why}", place(file.as_deref(), *line, None))]
    Unsupported {
        /// The file, when it is known.
        file: Option<PathBuf>,
        /// From 1.
        line: Option<u64>,
        /// The key with its path, such as `services.web.gpus`.
        key: String,
        /// Why not.
        why: String,
        /// Whether the Compose tool would make it possible.
        install: bool,
    },
    /// A file that was named is not there.
    #[error("there is no file {}", path.display())]
    FileMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// No Compose project in the folder.
    #[error("no Compose file in {}", folder.display())]
    NoProject {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The named program is not a Compose tool.
    #[error("{tool} is not a Compose tool that can be used: {why}")]
    ToolMissing {
        /// What was tried.
        tool: String,
        /// How it shows.
        why: String,
    },
    /// The Compose tool is the old one, which reads another language.
    #[error("{tool} is Compose {version}, which is too old: 2.0 or newer is needed")]
    ToolTooOld {
        /// What was tried.
        tool: String,
        /// What it says it is.
        version: String,
    },
    /// The Compose tool could not be run, or said what we don't understand.
    #[error("{tool} failed: {why}")]
    ToolFailed {
        /// The program with its first arguments.
        tool: String,
        /// What happened.
        why: String,
    },
    /// The Compose tool did not answer in time.
    #[error("{tool} did not answer within {seconds} seconds")]
    ToolTimeout {
        /// The program with its first arguments.
        tool: String,
        /// The limit.
        seconds: u64,
    },
    /// The environment's addresses are not enough.
    #[error("no room in {subnet} for {what}: {room} fit")]
    NoRoom {
        /// The subnet that is too small.
        subnet: String,
        /// What was to go there.
        what: String,
        /// How many fit.
        room: usize,
    },
    /// The scope itself is not valid: a mistake of the caller.
    #[error("cannot rewrite for {name:?}: {why}")]
    BadScope {
        /// The scope's name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A service that is not in the project.
    #[error("there is no service {service:?}{}", known(services))]
    NoService {
        /// What was asked for.
        service: String,
        /// Those that there are.
        services: Vec<String>,
    },
    /// A system call failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn place(file: Option<&Path>, line: Option<u64>, column: Option<u64>) -> String {
    let mut text = file.map(|f| f.display().to_string()).unwrap_or_default();
    if let Some(line) = line {
        if text.is_empty() {
            text.push_str("line ");
        } else {
            text.push(':');
        }
        text.push_str(&line.to_string());
        if let Some(column) = column {
            text.push_str(&format!(":{column}"));
        }
    }
    if !text.is_empty() {
        text.push_str(": ");
    }
    text
}

fn known(services: &[String]) -> String {
    if services.is_empty() {
        return " in the Compose project".to_owned();
    }
    format!(" in the Compose project; there are {}", services.join(", "))
}

impl ComposeError {
    /// A mistake in the project that no file can be named for.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { file: None, line: None, column: None, message: message.into() }
    }

    /// Something that no tool makes possible.
    pub(crate) fn impossible(key: impl Into<String>, why: impl Into<String>) -> Self {
        let (key, why) = (key.into(), why.into());
        Self::Unsupported { file: None, line: None, key, why, install: false }
    }

    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::FileMissing { path: path.to_owned() },
            _ => Self::Io { doing, path: path.to_owned(), source },
        }
    }
}

impl Fault for ComposeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "compose.invalid",
            Self::Unsupported { .. } => "compose.unsupported",
            Self::FileMissing { .. } => "compose.file_missing",
            Self::NoProject { .. } => "compose.not_found",
            Self::ToolMissing { .. } => "compose.tool_missing",
            Self::ToolTooOld { .. } => "compose.tool_too_old",
            Self::ToolFailed { .. } => "compose.tool_failed",
            Self::ToolTimeout { .. } => "compose.tool_timeout",
            Self::NoRoom { .. } => "compose.no_room",
            Self::BadScope { .. } => "compose.bad_scope",
            Self::NoService { .. } => "compose.no_service",
            Self::Io { .. } => "compose.files",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Unsupported { install: true, .. }
            | Self::ToolMissing { .. }
            | Self::ToolTooOld { .. }
            | Self::NoRoom { .. } => ExitCode::Configuration,
            Self::Invalid { .. } | Self::Unsupported { .. } => ExitCode::InvalidInput,
            Self::FileMissing { .. } | Self::NoProject { .. } | Self::NoService { .. } => {
                ExitCode::NotFound
            }
            Self::ToolFailed { .. } | Self::ToolTimeout { .. } => ExitCode::Engine,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ExitCode::NotPermitted
            }
            Self::BadScope { .. } | Self::Io { .. } => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unsupported { install: true, .. } => format!("for this key, {INSTALL}"),
            Self::ToolMissing { .. } => INSTALL.to_owned(),
            Self::ToolTooOld { .. } => format!("{INSTALL}; or do without: ATELIER_COMPOSE=native"),
            Self::NoRoom { .. } => {
                "give environments larger networks in the settings, or split the project".to_owned()
            }
            Self::NoProject { .. } => {
                "add a compose.yaml, or name the files with `--file`".to_owned()
            }
            Self::ToolTimeout { .. } => {
                "look what it waits for: an `include` of a far address, or a slow disk".to_owned()
            }
            Self::Io { source, path, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!("check the owner and the mode of {}", path.display())
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
