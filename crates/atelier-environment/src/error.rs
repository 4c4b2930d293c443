//! What can go wrong with a project's files, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Fault};
use atelier_files::RemoveError;

use crate::quote::shown;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One place where the project and the environment both changed.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Conflict {
    /// The path inside the project; bytes that are no UTF-8 are written as git quotes them.
    pub path: String,
    /// The first line of the conflict in the project's file, from 1. None: the whole path.
    pub line: Option<u64>,
    /// What happened on both sides, in words.
    pub why: String,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line} ({})", self.path, self.why),
            None => write!(f, "{} ({})", self.path, self.why),
        }
    }
}

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing here that could be a project.
    #[error("no project at {}: {why}", shown(path))]
    NoProject {
        /// Where it was looked for.
        path: PathBuf,
        /// Why it is none.
        why: String,
    },
    /// A system call failed.
    #[error("cannot {doing} {}: {source}", shown(path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The filesystem (or the quota) is full.
    #[error(
        "cannot {doing} {}: the filesystem at {} is full ({} free{})",
        shown(path), shown(filesystem), bytes(*free),
        needed.map(|n| format!(", {} needed", bytes(n))).unwrap_or_default()
    )]
    NoSpace {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Where the full filesystem is mounted.
        filesystem: PathBuf,
        /// Bytes that the whole step needs, when known.
        needed: Option<u64>,
        /// Bytes that are free.
        free: u64,
    },
    /// The filesystem refuses writes.
    #[error("cannot {doing} {}: the filesystem is read-only", shown(path))]
    ReadOnly {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// `atelier.yaml` is not valid.
    #[error("{}:{line}:{column}: {message}", shown(file))]
    Config {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What is wrong.
        message: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// git failed or is missing.
    #[error("git failed to {doing}: {why}")]
    Git {
        /// What was tried.
        doing: &'static str,
        /// git's own words.
        why: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// What was asked needs a git work tree.
    #[error("{} is no git work tree", shown(root))]
    NotGit {
        /// The project.
        root: PathBuf,
    },
    /// The project and the environment changed in the same places.
    #[error("{here} has changed in the same places: {}", list(conflicts))]
    Conflict {
        /// Whose tree was to be changed, in words.
        here: &'static str,
        /// Where.
        conflicts: Vec<Conflict>,
    },
    /// Something of that name is there already.
    #[error("{what} exists already")]
    Exists {
        /// What it is, with its name.
        what: String,
    },
    /// A file of our own does not hold what we wrote.
    #[error("{} is damaged: {why}", shown(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        why: String,
    },
    /// Something is mounted inside what was to be deleted.
    #[error("cannot delete {}: a filesystem is mounted there", shown(path))]
    Mounted {
        /// The mount point.
        path: PathBuf,
    },
}

impl From<RemoveError> for Error {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Mounted { path } => Self::Mounted { path },
            RemoveError::Io { path, source } => Self::io("delete", &path, source),
        }
    }
}

impl Error {
    /// A failed system call, with full and read-only filesystems told apart.
    pub fn io(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let (filesystem, free) = filesystem_of(&path);
                Self::NoSpace { doing, path, filesystem, needed: None, free }
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { doing, path },
            _ => Self::Io { doing, path, source },
        }
    }

    /// The same, knowing how many bytes the whole step needs.
    pub(crate) fn needing(mut self, bytes: u64) -> Self {
        if let Self::NoSpace { needed, .. } = &mut self {
            *needed = Some(bytes);
        }
        self
    }
}

/// The mount point above a path, and its free bytes.
fn filesystem_of(path: &Path) -> (PathBuf, u64) {
    use std::os::unix::fs::MetadataExt;
    let mut here = path.to_owned();
    while !here.exists() && here.pop() {}
    let free = rustix::fs::statvfs(&here).map_or(0, |s| s.f_bavail * s.f_frsize);
    let device = |p: &Path| p.metadata().map(|m| m.dev()).ok();
    let mine = device(&here);
    while let Some(parent) = here.parent() {
        if device(parent) != mine {
            break;
        }
        here = parent.to_owned();
    }
    (here, free)
}

/// A number of bytes for people.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn list(conflicts: &[Conflict]) -> String {
    const SHOWN: usize = 10;
    let mut text: Vec<String> = conflicts.iter().take(SHOWN).map(ToString::to_string).collect();
    if conflicts.len() > SHOWN {
        text.push(format!("and {} more", conflicts.len() - SHOWN));
    }
    text.join(", ")
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NoProject { .. } => "project.not_found",
            Self::Io { .. } => "files.failed",
            Self::NoSpace { .. } => "files.no_space",
            Self::ReadOnly { .. } => "files.read_only",
            Self::Config { .. } => "config.invalid",
            Self::Git { .. } => "git.failed",
            Self::NotGit { .. } => "git.not_a_work_tree",
            Self::Conflict { here: "the environment", .. } => "sync.conflict",
            Self::Conflict { .. } => "apply.conflict",
            Self::Exists { .. } => "files.exists",
            Self::Damaged { .. } => "files.damaged",
            Self::Mounted { .. } => "files.mounted",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::NoProject { .. } => ExitCode::NotFound,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ExitCode::NotPermitted
            }
            Self::ReadOnly { .. } => ExitCode::NotPermitted,
            Self::Config { .. } => ExitCode::InvalidInput,
            Self::Git { .. } | Self::NotGit { .. } => ExitCode::Git,
            Self::Conflict { .. } | Self::Exists { .. } => ExitCode::Conflict,
            _ => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoProject { .. } => {
                "go to the project's folder first, such as a git work tree".to_owned()
            }
            Self::NoSpace { filesystem, .. } => format!(
                "free space at {} (`atelier env rm` removes environments), \
                 or set ATELIER_HOME to a folder on another filesystem",
                shown(filesystem)
            ),
            Self::ReadOnly { .. } => "set ATELIER_HOME to a folder that can be written".to_owned(),
            Self::Io { source, path, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!("check the owner and the mode of {}", shown(path))
            }
            Self::Config { suggestion: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::Git { hint: Some(hint), .. } => hint.clone(),
            Self::NotGit { .. } => "run `git init` there, or apply without a branch".to_owned(),
            Self::Conflict { here: "the environment", .. } => {
                "change these places in the environment, \
                 or say whose are right: --prefer project, or --prefer environment"
                    .to_owned()
            }
            Self::Conflict { .. } => "undo or commit these places in the project, or use \
                 `atelier env apply --branch NAME` and merge with git"
                .to_owned(),
            Self::Exists { .. } => "choose another name, or remove it first".to_owned(),
            Self::Damaged { .. } => "delete it: it is made again when it is needed".to_owned(),
            Self::Mounted { path } => format!("unmount it first: umount {}", shown(path)),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
