//! What goes wrong with agents' files, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Fault};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, AgentError>;

/// A failure around an agent's files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Nobody knows an agent of that name.
    #[error("there is no agent {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A name that some agent would not take.
    #[error("{given:?} is no name that every agent takes")]
    Name {
        /// What was given.
        given: String,
    },
    /// A server that no agent could use.
    #[error("the server {name} cannot be wired: {why}")]
    Server {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The agent does not know this transport.
    #[error("{agent} cannot reach {name}: it knows no {transport} servers")]
    Transport {
        /// The agent.
        agent: &'static str,
        /// The server.
        name: String,
        /// What the server speaks.
        transport: &'static str,
    },
    /// The agent has no file for projects.
    #[error("{agent} has no file with servers in a project's folder")]
    NoProjectFile {
        /// The agent.
        agent: &'static str,
    },
    /// The project level was asked for outside of a project.
    #[error("this is no project's folder")]
    NoProject,
    /// A variable that names no folder.
    #[error("{name}={value:?} is no absolute path")]
    Variable {
        /// The variable.
        name: String,
        /// What it says.
        value: String,
    },
    /// Something of that name is there, and it is the user's own.
    #[error("{agent} has a {what} {name} already, in {}, which Atelier did not write", path.display())]
    Foreign {
        /// The agent.
        agent: &'static str,
        /// `server` or `skill`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it stands.
        path: PathBuf,
    },
    /// What Atelier wrote was changed since.
    #[error("the {what} {name} of {agent}, in {}, was changed by hand", path.display())]
    Changed {
        /// The agent.
        agent: &'static str,
        /// `server` or `skill`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it stands.
        path: PathBuf,
    },
    /// A file that cannot be understood.
    #[error("{} cannot be understood, so it was left alone: line {line}, column {column}: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// Something that is no ordinary file, or is too large.
    #[error("{} {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file that may not be written.
    #[error("{} may not be written", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// A file that something else keeps writing to, or holds.
    #[error("{} is being changed by another program", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A skill that agents could not read.
    #[error("the skill {name} cannot be wired: {why}")]
    Skill {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The ledger holds something else.
    #[error("{} is no ledger of what was wired: {why}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file or folder failed.
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

impl AgentError {
    /// A file that failed, with what is told apart.
    pub(crate) fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied if doing != "read" => Self::ReadOnly { path },
            _ => Self::File { path, doing, source },
        }
    }
}

impl Fault for AgentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "agent.unknown",
            Self::Name { .. } => "agent.name",
            Self::Server { .. } => "agent.server",
            Self::Transport { .. } => "agent.transport",
            Self::NoProjectFile { .. } => "agent.no_project_level",
            Self::NoProject => "agent.no_project",
            Self::Variable { .. } => "agent.variable",
            Self::Foreign { .. } => "agent.foreign",
            Self::Changed { .. } => "agent.changed",
            Self::Broken { .. } => "agent.broken",
            Self::Unfit { .. } => "agent.unfit",
            Self::ReadOnly { .. } => "agent.read_only",
            Self::Busy { .. } => "agent.busy",
            Self::Skill { .. } => "agent.skill",
            Self::Ledger { .. } => "agent.ledger",
            Self::File { .. } => "agent.file",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } | Self::Name { .. } | Self::NoProjectFile { .. } => {
                ExitCode::Usage
            }
            Self::Transport { .. } | Self::NoProject => ExitCode::Usage,
            Self::Variable { .. } => ExitCode::Configuration,
            Self::Foreign { .. } | Self::Changed { .. } | Self::Busy { .. } => ExitCode::Conflict,
            Self::Server { .. } | Self::Broken { .. } | Self::Unfit { .. } => {
                ExitCode::InvalidInput
            }
            Self::Skill { .. } | Self::Ledger { .. } => ExitCode::InvalidInput,
            Self::ReadOnly { .. } => ExitCode::NotPermitted,
            Self::File { .. } => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unknown { .. } => {
                let names: Vec<_> = crate::Agent::all().map(crate::Agent::name).collect();
                format!("there are {}", names.join(", "))
            }
            Self::Name { .. } => "use 1 to 64 of A-Z, a-z, 0-9, '_' and '-'".into(),
            Self::Transport { .. } => {
                "wire it as a program that bridges it: `atelier tool exec NAME`".into()
            }
            Self::NoProjectFile { .. } => "wire it at the user's level".into(),
            Self::NoProject => "go to the project's folder, or name it".into(),
            Self::Variable { name, .. } => format!("set {name} to an absolute path, or unset it"),
            Self::Foreign { .. } => {
                "remove or rename yours, or replace it with --force (a backup is kept)".into()
            }
            Self::Changed { .. } => {
                "take your change back, or go over it with --force (a backup is kept)".into()
            }
            Self::Broken { path, .. } => {
                format!("mend line and column named above in {}, then do it again", path.display())
            }
            Self::Unfit { .. } => "put an ordinary file there, or remove it".into(),
            Self::ReadOnly { path } => format!(
                "make it writable (chmod u+w {}); where another tool makes the file, tell that tool",
                path.display()
            ),
            Self::Busy { .. } => "end the agent that writes it, or do it again in a moment".into(),
            Self::Skill { .. } => "mend its SKILL.md: https://agentskills.io/specification".into(),
            Self::Ledger { path, .. } => {
                format!("move {} away; entries are found again when wired again", path.display())
            }
            Self::Server { .. } | Self::File { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_written_is_told_from_what_failed() {
        let error = |kind| AgentError::file("written", Path::new("/x"), io::Error::from(kind));
        assert_eq!(error(io::ErrorKind::PermissionDenied).exit().code(), 10);
        assert_eq!(error(io::ErrorKind::ReadOnlyFilesystem).code(), "agent.read_only");
        assert_eq!(error(io::ErrorKind::StorageFull).code(), "agent.file");
    }
}
