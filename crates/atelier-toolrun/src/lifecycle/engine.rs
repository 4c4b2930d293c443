//! What a container engine knows of tools, asked for once for all of them.

use std::collections::HashMap;
use std::path::Path;

use atelier_engine::{Container, Engine, Health, State, Surroundings, Usage};

use super::defaults::LABEL;
use super::error::{Error, Result};
use super::tool::{Kind, Manner, Tool};

/// Compose's label for the folder of a project.
const FOLDER: &str = "com.docker.compose.project.working_dir";

/// The containers of tools.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    all: Vec<(Container, Option<Usage>)>,
}

/// Runs a question to an engine. On a thread of its own, because the caller may be inside of a runtime.
pub(crate) fn block<T: Send>(work: impl Future<Output = T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let run = || -> std::io::Result<T> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(work))
        };
        match scope.spawn(run).join() {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Error::Engine(error.to_string())),
            Err(_) => Err(Error::Engine("the question to the engine failed".to_owned())),
        }
    })
}

/// The engine that the caller's environment and settings lead to.
pub(crate) async fn find(manner: &Manner<'_>) -> Result<Engine> {
    let home = manner.variable("HOME").map(|home| Path::new(&home).join(".docker"));
    let around = Surroundings {
        docker_host: manner.variable("DOCKER_HOST"),
        docker_context: manner.variable("DOCKER_CONTEXT"),
        docker_config: manner.variable("DOCKER_CONFIG").map(Into::into).or(home),
        container_host: manner.variable("CONTAINER_HOST"),
        runtime_dir: manner.variable("XDG_RUNTIME_DIR").map(Into::into),
    };
    let found = Engine::find(manner.engine.as_deref(), &around).await;
    found.map_err(|error| Error::Engine(error.to_string()))
}

impl Containers {
    /// All of this engine that are of tools; with what they use when `measured`.
    pub(crate) fn of(manner: &Manner<'_>, measured: bool) -> Result<Self> {
        let failed = |error: atelier_engine::EngineError| Error::Engine(error.to_string());
        block(async {
            let engine = find(manner).await?;
            let mut found = engine.examine(&[FOLDER.to_owned()]).await.map_err(failed)?;
            found.extend(engine.examine(&[LABEL.to_owned()]).await.map_err(failed)?);
            let mut all = Vec::new();
            for container in found {
                let running = container.state == State::Running;
                let usage = match measured && running {
                    true => engine.usage(&container.id).await.unwrap_or_default(),
                    false => None,
                };
                all.push((container, usage));
            }
            Ok(Self { all })
        })?
    }

    /// Those of a tool.
    pub(crate) fn of_tool(&self, tool: &Tool) -> Vec<&(Container, Option<Usage>)> {
        let folder = tool.folder.canonicalize().unwrap_or_else(|_| tool.folder.clone());
        let is_of = |container: &Container| {
            let labels: &HashMap<String, String> = &container.labels;
            match tool.kind() {
                Kind::Docker => labels.get(LABEL).is_some_and(|slug| slug == tool.slug.as_str()),
                _ => labels
                    .get(FOLDER)
                    .is_some_and(|at| Path::new(at) == folder || Path::new(at) == tool.folder),
            }
        };
        self.all.iter().filter(|(container, _)| is_of(container)).collect()
    }
}

/// What the health checks of a tool's containers say together; nothing when they have none.
pub(crate) fn health(manner: &Manner<'_>, tool: &Tool) -> Result<Option<Health>> {
    let label = match tool.kind() {
        Kind::Docker => format!("{LABEL}={}", tool.slug),
        _ => {
            let folder = tool.folder.canonicalize().unwrap_or_else(|_| tool.folder.clone());
            format!("{FOLDER}={}", folder.display())
        }
    };
    let seen = block(async {
        let engine = find(manner).await?;
        let seen = engine.examine(&[label]).await;
        seen.map_err(|error| Error::Engine(error.to_string()))
    })??;
    let all = |health: Health| seen.iter().any(|container| container.health == Some(health));
    Ok([Health::Unhealthy, Health::Starting, Health::Healthy].into_iter().find(|one| all(*one)))
}
