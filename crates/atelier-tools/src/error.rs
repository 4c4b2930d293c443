//! What can go wrong with tools, and what the reader does next.

use std::io;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, ToolsError>;

/// One thing that is wrong with a file that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The file, relative to the plugin or the home.
    pub file: String,
    /// Its line, from 1; nothing where the whole file is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Its column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, message: message.into(), hint: None }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "{}:{line}:{column}: ", self.file)?,
            (Some(line), None) => write!(f, "{}:{line}: ", self.file)?,
            _ => write!(f, "{}: ", self.file)?,
        }
        f.write_str(&self.message)
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// A name that is no slug.
    #[error(transparent)]
    Slug(#[from] atelier_plugin::BadSlug),
    /// A plugin that can't be read.
    #[error(transparent)]
    Plugin(#[from] atelier_plugin::PluginError),
    /// There is no home yet.
    #[error("there is no home of tools at {}", .0.display())]
    NoHome(PathBuf),
    /// The folder is something else.
    #[error("{} cannot be a home of tools: {why}", path.display())]
    NotAHome {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Another process changes the home.
    #[error("process {pid} is changing the tools ({doing})")]
    Busy {
        /// Its id.
        pid: String,
        /// What it does.
        doing: String,
    },
    /// No such tool is installed.
    #[error("there is no tool `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What is installed.
        known: Vec<String>,
    },
    /// No registry, profile or entry of that name.
    #[error("there is no {what} `{name}`")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It is there already.
    #[error("there is a {what} `{name}` already")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Files that somebody wrote are wrong.
    #[error("{subject} is not valid: {}", listed(problems))]
    Invalid {
        /// What was read.
        subject: String,
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
    /// A frozen install found a difference.
    #[error("what is here is not what the lock says: {}", .0.join("; "))]
    Frozen(Vec<String>),
    /// Files that the user changed and an upgrade changes too.
    #[error("{slug}: you changed what the new version changes too: {}", files.join(", "))]
    Edited {
        /// The tool.
        slug: String,
        /// The files.
        files: Vec<String>,
    },
    /// Files that we would commit have changes that are not ours.
    #[error("{} has changes of yours that are not committed", paths.join(", "))]
    Dirty {
        /// The paths.
        paths: Vec<String>,
    },
    /// git failed, or the repository is in no state to be changed.
    #[error("{0}")]
    Git(String),
    /// A source could not be fetched.
    #[error("{from} could not be fetched: {why}")]
    Fetch {
        /// Where from.
        from: String,
        /// Why not.
        why: String,
        /// The command that does the same where somebody can be asked.
        by_hand: Option<String>,
    },
    /// A source is larger, slower or deeper than is allowed.
    #[error("{from} was not fetched: {why}")]
    Limit {
        /// Where from.
        from: String,
        /// Which limit.
        why: String,
    },
    /// A signature is missing or wrong.
    #[error("the registry `{registry}` is not what its key signed: {why}")]
    Signature {
        /// The registry.
        registry: String,
        /// Why.
        why: String,
    },
    /// Packages could not be pinned or installed.
    #[error("{slug}: {doing} failed: {why}")]
    Packages {
        /// The tool.
        slug: String,
        /// What was done.
        doing: String,
        /// What the program said.
        why: String,
    },
    /// A program that is needed is not there.
    #[error("{program} is needed {why} and is not installed")]
    Program {
        /// Which.
        program: String,
        /// What for.
        why: String,
    },
    /// A command of the plugin failed.
    #[error("{slug}: its `{hook}` failed: {why}")]
    Hook {
        /// The tool.
        slug: String,
        /// `install`, `stop`, ...
        hook: String,
        /// What it said.
        why: String,
    },
    /// Nobody agreed.
    #[error("nothing was done: {0} was not agreed to")]
    Declined(String),
    /// The user interrupted.
    #[error("interrupted; everything is as before")]
    Cancelled,
    /// A part of the tools (secrets, services, data) has an error of its own.
    #[error("{message}")]
    Other {
        /// A stable name.
        code: &'static str,
        /// How the command ends.
        exit: ExitCode,
        /// What failed and why.
        message: String,
        /// What to do next.
        hints: Vec<String>,
    },
    /// A file failed.
    #[error("{} cannot be {doing}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was done with it.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl ToolsError {
    /// The error of a part, under its own code.
    pub fn of_part(error: &impl Fault) -> Self {
        let (code, exit, hints) = (error.code(), error.exit(), error.hints());
        Self::Other { code, exit, message: error.to_string(), hints }
    }

    /// For `map_err` on a file.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, doing, source }
    }
}

impl Fault for ToolsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Slug(_) => "tool.name",
            Self::Plugin(error) => error.code(),
            Self::NoHome(_) => "tool.no_home",
            Self::NotAHome { .. } => "tool.not_a_home",
            Self::Busy { .. } => "tool.busy",
            Self::Unknown { .. } | Self::Missing { .. } => "tool.not_found",
            Self::Exists { .. } => "tool.exists",
            Self::Usage(_) => "tool.usage",
            Self::Invalid { .. } => "tool.invalid",
            Self::Frozen(_) => "tool.frozen",
            Self::Edited { .. } => "tool.edited",
            Self::Dirty { .. } => "tool.dirty",
            Self::Git(_) => "tool.git",
            Self::Fetch { .. } => "tool.fetch",
            Self::Limit { .. } => "tool.limit",
            Self::Signature { .. } => "tool.signature",
            Self::Packages { .. } => "tool.packages",
            Self::Program { .. } => "tool.program",
            Self::Hook { .. } => "tool.hook",
            Self::Declined(_) => "tool.declined",
            Self::Cancelled => "tool.cancelled",
            Self::Other { code, .. } => code,
            Self::File { .. } => "tool.file",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Slug(_) | Self::Usage(_) => ExitCode::Usage,
            Self::Plugin(error) => error.exit(),
            Self::Unknown { .. } | Self::Missing { .. } => ExitCode::NotFound,
            Self::NoHome(_) | Self::Program { .. } => ExitCode::Configuration,
            Self::Exists { .. } | Self::Busy { .. } | Self::Edited { .. } => ExitCode::Conflict,
            Self::NotAHome { .. } => ExitCode::Conflict,
            Self::Invalid { .. } | Self::Frozen(_) | Self::Limit { .. } => ExitCode::InvalidInput,
            Self::Git(_) | Self::Dirty { .. } | Self::Fetch { .. } => ExitCode::Git,
            Self::Signature { .. } | Self::Declined(_) => ExitCode::NotPermitted,
            Self::Packages { .. } | Self::Hook { .. } | Self::Cancelled => ExitCode::Failed,
            Self::Other { exit, .. } => *exit,
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    ExitCode::NotPermitted
                }
                _ => ExitCode::Failed,
            },
        }
    }

    fn hints(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        let known = |list: &[String]| match list.is_empty() {
            true => Vec::new(),
            false => vec![format!("there are {}", list.join(", "))],
        };
        match self {
            Self::Slug(error) => error.hints(),
            Self::Plugin(error) => error.hints(),
            Self::NoHome(_) => one("make one: atelier tool init"),
            Self::NotAHome { .. } => {
                one("move what is there out of the way, or set ATELIER_HOME to another folder")
            }
            Self::Busy { .. } => one("try again when it has ended"),
            Self::Unknown { known: list, .. } | Self::Missing { known: list, .. } => known(list),
            Self::Invalid { problems, .. } => {
                problems.iter().filter_map(|p| p.hint.clone()).collect()
            }
            Self::Exists { what: "tool", name } => {
                vec![format!("to its newest version: atelier tool upgrade {name}")]
            }
            Self::Frozen(_) => one("bring it there without --frozen: atelier tool install --all"),
            Self::Edited { slug, .. } => vec![
                format!("keep yours: atelier tool upgrade {slug} --ours"),
                format!("take the new ones: atelier tool upgrade {slug} --theirs"),
            ],
            Self::Dirty { paths } => vec![
                format!("look: atelier tool git diff -- {}", paths.join(" ")),
                "commit them: atelier tool git commit -a".into(),
            ],
            Self::Git(_) => one("look: atelier tool git status"),
            Self::Fetch { by_hand: Some(command), .. } => {
                vec![format!("try it by hand, where git may ask: {command}")]
            }
            Self::Hook { slug, .. } => vec![format!("its log: atelier tool logs {slug}")],
            Self::Other { hints, .. } => hints.clone(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                one("make room on that disk; nothing was changed")
            }
            _ => Vec::new(),
        }
    }
}
