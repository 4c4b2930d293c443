//! Which engine: the one that was named, the one of the user's Docker context, or the first whose
//! socket answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::{API_DEFAULT_VERSION, Docker};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::error::EngineError;

/// Seconds that one call may take. Engines under load wait for the kernel's firewall lock for minutes.
const TIMEOUT: u64 = 300;
/// Changes that an engine is asked for at one time. More only make each wait for the others inside.
const AT_ONCE: usize = 6;

/// Which kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Docker Engine.
    Docker,
    /// Podman's service.
    Podman,
}

/// What the user's environment says of engines.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`, or `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `CONTAINER_HOST`, which Podman's own client reads.
    pub container_host: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    kind: Kind,
    address: String,
    version: String,
    rootless: bool,
    reachable: bool,
    turns: Arc<Semaphore>,
}

impl Engine {
    /// Finds an engine. `named` is a setting: an address, or `docker` or `podman`.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] when the one that was named does not answer,
    /// [`EngineError::Missing`] when none does.
    pub async fn find(named: Option<&str>, around: &Surroundings) -> Result<Self, EngineError> {
        let only = match named {
            Some("docker") => Some(Kind::Docker),
            Some("podman") => Some(Kind::Podman),
            Some(address) => return Self::named(address, around).await,
            None => None,
        };
        let named = [(&around.docker_host, Kind::Docker), (&around.container_host, Kind::Podman)];
        for (host, kind) in named {
            if only.is_none_or(|only| only == kind && kind == Kind::Podman)
                && let Some(address) = host.as_deref().filter(|host| !host.is_empty())
            {
                return Self::at(address).await;
            }
        }
        // Whoever uses another machine's engine must not be given this one's without a word.
        if only.is_none()
            && let Some((name, address)) = context(around)
            && is_elsewhere(&address)
        {
            return Err(EngineError::Elsewhere { address, context: Some(name) });
        }
        let mut looked = Vec::new();
        for address in candidates(around) {
            match Self::at(&address).await {
                Ok(engine) if only.is_none_or(|kind| kind == engine.kind) => return Ok(engine),
                Ok(engine) => looked.push(format!("{address} (is {:?})", engine.kind)),
                Err(_) => looked.push(address),
            }
        }
        Err(EngineError::Missing { looked })
    }

    /// An address, or the name of a Docker context.
    async fn named(named: &str, around: &Surroundings) -> Result<Self, EngineError> {
        if named.contains("://") || named.starts_with('/') {
            return Self::at(named).await;
        }
        match context_named(around, named) {
            Some(address) if is_elsewhere(&address) => {
                Err(EngineError::Elsewhere { address, context: Some(named.to_owned()) })
            }
            Some(address) => Self::at(&address).await,
            None => Err(EngineError::Unreachable {
                address: named.to_owned(),
                why: "it is neither an address nor the name of a Docker context".to_owned(),
            }),
        }
    }

    /// The engine at an address: `unix:///path`, `tcp://host:port`.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`].
    pub async fn at(address: &str) -> Result<Self, EngineError> {
        if address.starts_with("ssh://") {
            return Err(EngineError::Elsewhere { address: address.to_owned(), context: None });
        }
        let unreachable =
            |why: String| EngineError::Unreachable { address: address.to_owned(), why };
        let docker = connect(address).map_err(|e| unreachable(e.to_string()))?;
        let docker = docker.negotiate_version().await.map_err(|e| unreachable(e.to_string()))?;
        let version = docker.version().await.map_err(|e| unreachable(e.to_string()))?;
        let podman = version.components.iter().flatten().any(|c| c.name.contains("Podman"));
        let info = docker.info().await.map_err(|e| unreachable(e.to_string()))?;
        let says = info.security_options.iter().flatten().any(|o| o.contains("name=rootless"));
        let rootless = says || (podman && crate::podman::rootless(address).await.unwrap_or(false));
        // It keeps its containers in a machine of its own.
        let desktop = info.operating_system.is_some_and(|name| name == "Docker Desktop");
        Ok(Self {
            docker,
            kind: if podman { Kind::Podman } else { Kind::Docker },
            address: address.to_owned(),
            version: version.version.unwrap_or_default(),
            rootless,
            reachable: !rootless && !desktop,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Docker or Podman.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it answers, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it runs as an ordinary user, in a namespace of that user's.
    #[must_use]
    pub(crate) fn rootless(&self) -> bool {
        self.rootless
    }

    /// Whether this machine reaches the addresses of its containers. It doesn't where the engine's
    /// networks are in a namespace of its own, or in a machine behind its socket.
    #[must_use]
    pub fn reachable(&self) -> bool {
        self.reachable
    }

    /// Whether it still answers.
    pub async fn answers(&self) -> bool {
        self.docker.ping().await.is_ok()
    }

    /// A turn for a change that keeps the engine busy.
    ///
    /// # Panics
    /// Never: the semaphore is not closed.
    pub async fn turn(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.turns.clone().acquire_owned().await.ok()
    }
}

/// Whether an endpoint is that of another machine.
fn is_elsewhere(address: &str) -> bool {
    if let Some(host) = address.strip_prefix("tcp://") {
        return !["127.", "localhost:", "[::1]:"].iter().any(|own| host.starts_with(own));
    }
    address.starts_with("ssh://") || address.starts_with("https://")
}

fn connect(address: &str) -> Result<Docker, bollard::errors::Error> {
    if let Some(path) = address.strip_prefix("unix://") {
        return Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION);
    }
    if address.starts_with('/') {
        return Docker::connect_with_unix(address, TIMEOUT, API_DEFAULT_VERSION);
    }
    Docker::connect_with_http(address, TIMEOUT, API_DEFAULT_VERSION)
}

fn candidates(around: &Surroundings) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(context(around).map(|(_, address)| address));
    found.push("unix:///var/run/docker.sock".to_owned());
    let own = around.runtime_dir.iter().flat_map(|dir| {
        ["docker.sock", "podman/podman.sock"]
            .map(|name| format!("unix://{}", dir.join(name).display()))
    });
    found.extend(own);
    found.push("unix:///run/podman/podman.sock".to_owned());
    found
}

/// The Docker context that is in use, with its endpoint.
fn context(around: &Surroundings) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext")]
        current: Option<String>,
    }
    let folder = around.docker_config.as_deref()?;
    let read = |path: &Path| std::fs::read(path).ok();
    let configured = || {
        let config: Config = serde_json::from_slice(&read(&folder.join("config.json"))?).ok()?;
        config.current
    };
    let name = around.docker_context.clone().or_else(configured)?;
    let address = context_named(around, &name)?;
    Some((name, address))
}

/// The endpoint of a Docker context.
fn context_named(around: &Surroundings, name: &str) -> Option<String> {
    let folder = around.docker_config.as_deref()?;
    let read = |path: &Path| std::fs::read(path).ok();
    // Each context lies in a folder that is called like a hash of its name.
    for entry in std::fs::read_dir(folder.join("contexts/meta")).ok()?.flatten() {
        let Some(bytes) = read(&entry.path().join("meta.json")) else { continue };
        let Ok(meta) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
        if meta["Name"].as_str() == Some(name) {
            return meta["Endpoints"]["docker"]["Host"].as_str().map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use atelier_api::Fault;

    use super::*;

    #[test]
    fn the_context_in_use_comes_before_the_usual_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path().join("contexts/meta/0a1b");
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"lab","Endpoints":{"docker":{"Host":"unix:///lab.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext":"lab"}"#).unwrap();
        let around = Surroundings {
            docker_config: Some(dir.path().into()),
            runtime_dir: Some("/run/user/7".into()),
            ..Surroundings::default()
        };
        let found = candidates(&around);
        assert_eq!(found[0], "unix:///lab.sock");
        assert!(found.contains(&"unix:///run/user/7/podman/podman.sock".to_owned()));
        let other = Surroundings { docker_context: Some("gone".into()), ..around };
        assert_eq!(candidates(&other)[0], "unix:///var/run/docker.sock");
    }

    #[tokio::test]
    async fn an_engine_of_another_machine_is_not_used_by_halves() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path().join("contexts/meta/0a1b");
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"lab","Endpoints":{"docker":{"Host":"ssh://me@lab"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let around =
            Surroundings { docker_config: Some(dir.path().into()), ..Surroundings::default() };
        let in_use = Surroundings { docker_context: Some("lab".into()), ..around.clone() };
        let host = Surroundings { docker_host: Some("ssh://me@lab".into()), ..around.clone() };
        for (named, around) in [(Some("lab"), &around), (None, &in_use), (None, &host)] {
            let error = Engine::find(named, around).await.unwrap_err();
            assert_eq!(error.code(), "engine.elsewhere", "{error}");
            assert!(error.hints()[0].contains("--on"), "{error}");
        }
        let error = Engine::find(Some("fox"), &around).await.unwrap_err();
        assert!(error.to_string().contains("Docker context"), "{error}");
        assert!(is_elsewhere("tcp://10.0.0.1:2376") && !is_elsewhere("tcp://127.0.0.1:2375"));
    }

    #[tokio::test]
    async fn an_engine_that_is_named_and_not_there_is_told_by_its_address() {
        let error = Engine::find(Some("unix:///no/such.sock"), &Surroundings::default()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("unix:///no/such.sock"), "{error}");
    }
}
