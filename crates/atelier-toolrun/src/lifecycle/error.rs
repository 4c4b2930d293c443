//! What goes wrong when tools are started, stopped and asked, and what to do about it.

use atelier_api::{ExitCode, Fault};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{FileError, secrets};

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// A port that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// What the plugin calls it.
    pub name: Option<String>,
    /// Who has it: `python3 (process 812)`, or a user whose processes are not ours to see.
    pub holder: String,
}

/// A failure of a tool's life.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its plugin cannot be read.
    #[error("{slug}: {why}")]
    Plugin {
        /// The tool.
        slug: String,
        /// What is wrong.
        why: String,
        /// How the command ends.
        exit: ExitCode,
        /// What the reader of plugins advises.
        hints: Vec<String>,
    },
    /// Its settings.
    #[error(transparent)]
    Settings(#[from] secrets::Error),
    /// There is nothing that could be done.
    #[error("{slug} has no command for {verb}, and {reason}")]
    NoCommand {
        /// The tool.
        slug: String,
        /// What was asked for.
        verb: &'static str,
        /// Why there is no default.
        reason: String,
    },
    /// A command of the plugin, or the default for it, failed.
    #[error("{verb} of {slug} ended with {code}: {}", told(said))]
    Command {
        /// The tool.
        slug: String,
        /// Which command.
        verb: String,
        /// Its code; 128 and the signal when a signal ended it.
        code: i32,
        /// Its last lines, without secrets.
        said: String,
        /// Whether it asks a container engine or systemd.
        engine: bool,
    },
    /// A program cannot be run.
    #[error("{program} cannot be run: {source}")]
    Program {
        /// Which.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Others have its ports.
    #[error("{slug} cannot start: {}", held(taken))]
    Ports {
        /// The tool.
        slug: String,
        /// Which ports, and who has them.
        taken: Vec<Taken>,
    },
    /// It runs and is not well.
    #[error("{slug} is not well after {tries} questions: {why}: {}", told(said))]
    Unhealthy {
        /// The tool.
        slug: String,
        /// How often it was asked.
        tries: u32,
        /// The last answer.
        why: String,
        /// The last lines of its log, without secrets.
        said: String,
    },
    /// Its process ended as soon as it had started.
    #[error("{slug} ended with {code} as soon as it had started: {}", told(said))]
    Ended {
        /// The tool.
        slug: String,
        /// Its code.
        code: i32,
        /// The last lines of its log, without secrets.
        said: String,
    },
    /// It does not end.
    #[error("{slug} still runs after it was killed: {why}")]
    StillRuns {
        /// The tool.
        slug: String,
        /// Which processes.
        why: String,
    },
    /// Tools need one another in a ring.
    #[error("tools that need one another in a ring: {}", path.join(" needs "))]
    Cycle {
        /// The ring; the first is the last.
        path: Vec<String>,
    },
    /// What it needs is not installed.
    #[error("{slug} needs {missing}, which is not installed")]
    Requires {
        /// The tool.
        slug: String,
        /// What it needs.
        missing: String,
    },
    /// What it needs did not start.
    #[error("{slug} was not started, because {by} was not")]
    Blocked {
        /// The tool.
        slug: String,
        /// What it needs.
        by: String,
    },
    /// No such script.
    #[error("{slug} has no script {script:?}")]
    Script {
        /// The tool.
        slug: String,
        /// What was asked for.
        script: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It has no MCP server that could be run.
    #[error("{slug} has no MCP server that is a program")]
    NoServer {
        /// The tool.
        slug: String,
    },
    /// No container engine answers.
    #[error("{0}")]
    Engine(String),
    /// It cannot be registered here.
    #[error("{slug} cannot be registered to start at login: {why}")]
    Login {
        /// The tool.
        slug: String,
        /// Why not.
        why: String,
    },
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

fn told(said: &str) -> &str {
    let said = said.trim_end();
    if said.is_empty() { "it said nothing" } else { said }
}

fn held(taken: &[Taken]) -> String {
    let one = |taken: &Taken| format!("port {} is held by {}", taken.port, taken.holder);
    taken.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Plugin { .. } => "tool.invalid",
            Self::Settings(error) => error.code(),
            Self::NoCommand { .. } => "tool.no_command",
            Self::Command { .. } => "tool.command",
            Self::Program { .. } => "tool.program",
            Self::Ports { .. } => "tool.port_in_use",
            Self::Unhealthy { .. } => "tool.unhealthy",
            Self::Ended { .. } => "tool.ended",
            Self::StillRuns { .. } => "tool.still_runs",
            Self::Cycle { .. } => "tool.cycle",
            Self::Requires { .. } => "tool.requires",
            Self::Blocked { .. } => "tool.blocked",
            Self::Script { .. } => "tool.no_script",
            Self::NoServer { .. } => "tool.no_server",
            Self::Engine(_) => "tool.engine",
            Self::Login { .. } => "tool.login",
            Self::File(_) => "tool.file",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Plugin { exit, .. } => *exit,
            Self::Settings(error) => error.exit(),
            Self::Command { engine: true, .. } | Self::Engine(_) => ExitCode::Engine,
            Self::NoCommand { .. } | Self::Script { .. } | Self::NoServer { .. } => {
                ExitCode::NotFound
            }
            Self::Requires { .. } => ExitCode::NotFound,
            Self::Program { .. } | Self::Login { .. } => ExitCode::Configuration,
            Self::Ports { .. } => ExitCode::PortInUse,
            Self::Cycle { .. } => ExitCode::InvalidInput,
            Self::Command { .. }
            | Self::Unhealthy { .. }
            | Self::Ended { .. }
            | Self::StillRuns { .. }
            | Self::Blocked { .. }
            | Self::File(_) => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Plugin { hints, .. } => hints.clone(),
            Self::Settings(error) => error.hints(),
            Self::Command { slug, .. }
            | Self::Unhealthy { slug, .. }
            | Self::Ended { slug, .. } => {
                vec![format!("its log: atelier tool logs {slug}")]
            }
            Self::Ports { slug, .. } => vec![
                "stop who has the port".into(),
                format!("or give {slug} another one: atelier tool setup {slug}"),
            ],
            Self::Requires { missing, .. } => vec![format!("atelier tool add {missing}")],
            Self::Blocked { by, .. } => vec![format!("atelier tool start {by}")],
            Self::Script { known, .. } if !known.is_empty() => {
                vec![format!("there are {}", known.join(", "))]
            }
            Self::Engine(_) => {
                vec!["is Docker or Podman running? DOCKER_HOST names another".into()]
            }
            _ => Vec::new(),
        }
    }
}

impl From<Error> for crate::ToolsError {
    fn from(error: Error) -> Self {
        Self::of_part(&error)
    }
}
