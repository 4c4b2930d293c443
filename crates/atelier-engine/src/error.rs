//! What goes wrong with engines, and what to do about it.

use atelier_api::{ExitCode, Fault};

/// A failure of an engine, or of a program that drives it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No engine answers.
    #[error("no container engine answers; looked at {}", looked.join(", "))]
    Missing {
        /// Where it was looked for, and why not.
        looked: Vec<String>,
    },
    /// The engine that was asked for does not answer.
    #[error("the container engine at {address} does not answer: {why}")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        why: String,
    },
    /// The engine that was asked for is that of another machine.
    #[error(
        "the container engine at {address} is on another machine: its containers would see nothing of \
         the workspace, and nothing here would reach them"
    )]
    Elsewhere {
        /// Its address.
        address: String,
        /// The Docker context that names it.
        context: Option<String>,
    },
    /// The engine refused or failed.
    #[error("the container engine could not {doing}: {why}")]
    Refused {
        /// What was asked.
        doing: String,
        /// Its words.
        why: String,
    },
    /// An image could not be brought.
    #[error("the image {image} is not there and can't be pulled: {why}")]
    Pull {
        /// Its name.
        image: String,
        /// The engine's words.
        why: String,
    },
    /// An image could not be built.
    #[error("the image of the service {service} can't be built: {why}{}{}", if said.is_empty() { "" } else { "; the builder's last lines:\n" }, said)]
    Build {
        /// Whose.
        service: String,
        /// Why not.
        why: String,
        /// The end of what the builder said.
        said: String,
    },
    /// The project has what can't be carried out.
    #[error(transparent)]
    Project(#[from] atelier_compose::ComposeError),
    /// A program failed.
    #[error("{program} {doing} failed ({how}){}{}", if said.is_empty() { "" } else { ":\n" }, said)]
    Tool {
        /// Which.
        program: String,
        /// With what.
        doing: String,
        /// How it ended.
        how: String,
        /// The end of what it said.
        said: String,
    },
}

impl Fault for EngineError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "engine.missing",
            Self::Unreachable { .. } => "engine.unreachable",
            Self::Elsewhere { .. } => "engine.elsewhere",
            Self::Refused { .. } => "engine.refused",
            Self::Pull { .. } => "engine.pull_failed",
            Self::Build { .. } => "engine.build_failed",
            Self::Project(error) => error.code(),
            Self::Tool { .. } => "engine.compose_failed",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Missing { .. } | Self::Elsewhere { .. } => ExitCode::Configuration,
            Self::Project(error) => error.exit(),
            _ => ExitCode::Engine,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { .. } => vec![
                "install Docker Engine or Podman: on Debian and Ubuntu 'apt install docker.io'".into(),
                "or name the engine: services.engine in config.yaml, ATELIER_ENGINE or DOCKER_HOST".into(),
                "or go on without services: 'atelier run --no-up'".into(),
            ],
            Self::Unreachable { .. } => vec![
                "start it ('systemctl start docker'), or check that you may use its socket (group docker)"
                    .into(),
            ],
            Self::Elsewhere { context, .. } => {
                let host = context.as_deref().unwrap_or("HOST");
                vec![
                    format!(
                        "let the whole environment run there: 'atelier --on {host} run ENV' (a host that \
                         'atelier host add' named, or a Docker context that ssh reaches)"
                    ),
                    "or name an engine of this machine: services.engine in config.yaml, or ATELIER_ENGINE"
                        .into(),
                    "or go on without services: 'atelier run --no-up'".into(),
                ]
            }
            Self::Pull { image, .. } => vec![format!(
                "check its name; for one that needs a login pull it with the engine's own tool: 'docker pull {image}' or 'podman pull {image}'"
            )],
            Self::Project(error) => error.hints(),
            Self::Refused { .. } | Self::Build { .. } | Self::Tool { .. } => Vec::new(),
        }
    }
}

/// What an API call was for, added to its failure.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, EngineError>;
}

impl<T> Doing<T> for Result<T, bollard::errors::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(|error| EngineError::Refused { doing: what(), why: error.to_string() })
    }
}

/// The HTTP status of a refusal.
pub(crate) fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Success also where what should go is gone, or what should be is there.
pub(crate) fn unless(
    result: Result<(), bollard::errors::Error>,
    fine: &[u16],
) -> Result<(), bollard::errors::Error> {
    match result {
        Err(error) if status(&error).is_some_and(|code| fine.contains(&code)) => Ok(()),
        other => other,
    }
}
