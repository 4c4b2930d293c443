//! Containers: found by label, looked at, stopped and started.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, HealthStatusEnum,
    PortMap, PortSummaryTypeEnum,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RestartContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use serde::{Deserialize, Serialize};

use crate::connect::{Engine, Kind};
use crate::error::{Doing, EngineError, status, unless};

/// How often a list that can't be read is asked for again, and the pause between.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a health check may take that is run by us.
const CHECK: Duration = Duration::from_secs(30);
/// Compose's label for the service of a container.
const SERVICE: &str = "com.docker.compose.service";

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended, and started again by the engine.
    Restarting,
    /// Ended.
    Exited,
    /// Anything else.
    Dead,
}

/// What a container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Nothing yet.
    Starting,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}

/// A container that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The Compose service that it is of.
    pub service: String,
    /// What it is doing.
    pub state: State,
    /// What its health check says, if it has one and runs.
    pub health: Option<Health>,
    /// How it ended, if it did.
    pub exit_code: Option<i64>,
    /// Its addresses with the networks that they are in.
    pub addresses: Vec<(String, IpAddr)>,
    /// Its TCP ports that are published, with those of this machine.
    pub published: Vec<(u16, u16)>,
    /// Its image.
    pub image: String,
    /// That image's id.
    pub image_id: String,
    /// The ids of its networks, by their names.
    pub networks: HashMap<String, String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// The containers, running or not, that have all of these labels (`key` or `key=value`).
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn containers(&self, labels: &[String]) -> Result<Vec<Container>, EngineError> {
        let mut found = self.listed("label", labels).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn listed(&self, key: &str, values: &[String]) -> Result<Vec<Container>, EngineError> {
        let filters = HashMap::from([(key, values.to_vec())]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let mut left = TRIES;
        loop {
            let listed = self.docker.list_containers(Some(options.clone())).await;
            // Podman has a word of its own for a container that has ended a moment ago.
            if matches!(listed, Err(Error::JsonDataError { .. })) && left > 0 {
                left -= 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            return Ok(listed.doing(|| "list containers".into())?.into_iter().map(read).collect());
        }
    }

    /// The same with what only a closer look tells: health, and how each ended.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn examine(&self, labels: &[String]) -> Result<Vec<Container>, EngineError> {
        let mut found = self.containers(labels).await?;
        for container in &mut found {
            self.look(container).await?;
        }
        Ok(found)
    }

    /// The containers, running or not, that have a volume mounted.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn users_of(&self, volume: &str) -> Result<Vec<Container>, EngineError> {
        self.listed("volume", &[volume.to_owned()]).await
    }

    async fn look(&self, container: &mut Container) -> Result<(), EngineError> {
        let seen = match self.docker.inspect_container(&container.id, None).await {
            // Gone since the list was made.
            Err(error) if status(&error) == Some(404) => {
                container.state = State::Dead;
                return Ok(());
            }
            seen => seen.doing(|| format!("look at the container {}", container.name))?,
        };
        let ports = seen.network_settings.and_then(|settings| settings.ports);
        container.published = ports.map(published).unwrap_or_default();
        let Some(state) = seen.state else { return Ok(()) };
        container.state = match state.status {
            Some(ContainerStateStatusEnum::RUNNING) => State::Running,
            Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
            Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
            Some(ContainerStateStatusEnum::EXITED) => State::Exited,
            Some(ContainerStateStatusEnum::CREATED) => State::Created,
            _ => State::Dead,
        };
        container.health = state.health.and_then(|health| match health.status {
            Some(HealthStatusEnum::STARTING) => Some(Health::Starting),
            Some(HealthStatusEnum::HEALTHY) => Some(Health::Healthy),
            Some(HealthStatusEnum::UNHEALTHY) => Some(Health::Unhealthy),
            _ => None,
        });
        container.exit_code = state.exit_code.filter(|_| container.state == State::Exited);
        if container.health == Some(Health::Starting)
            && container.state == State::Running
            && self.leaves_checks_to_systemd()
        {
            let test = seen.config.and_then(|c| c.healthcheck).and_then(|check| check.test);
            if self.passes(&container.id, &test.unwrap_or_default()).await {
                container.health = Some(Health::Healthy);
            }
        }
        Ok(())
    }

    /// Podman has health checks run by timers of systemd: without one nobody ever runs them.
    fn leaves_checks_to_systemd(&self) -> bool {
        self.kind() == Kind::Podman && !Path::new("/run/systemd/system").exists()
    }

    /// Whether a container passes its health check now.
    async fn passes(&self, id: &str, test: &[String]) -> bool {
        let words: Vec<&str> = match test.split_first() {
            Some((kind, rest)) if kind == "CMD" => rest.iter().map(String::as_str).collect(),
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                ["/bin/sh", "-c"].into_iter().chain(rest.iter().map(String::as_str)).collect()
            }
            _ => return false,
        };
        let tried = tokio::time::timeout(CHECK, self.exec(id, &words, None, None)).await;
        tried.is_ok_and(|done| done.is_ok_and(|finished| finished.code == 0))
    }

    /// Stops a container; one that does not end in `seconds` is killed.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn stop(&self, id: &str, seconds: Option<i32>) -> Result<(), EngineError> {
        let options = seconds.map(|t| StopContainerOptionsBuilder::new().t(t).build());
        unless(self.docker.stop_container(id, options).await, &[304, 404])
            .doing(|| format!("stop the container {id}"))
    }

    /// Starts a container that is there.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        unless(self.docker.start_container(id, None).await, &[304])
            .doing(|| format!("start the container {id}"))
    }

    /// Stops and starts a container.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn restart(&self, id: &str) -> Result<(), EngineError> {
        let options = RestartContainerOptionsBuilder::new().build();
        let done = self.docker.restart_container(id, Some(options)).await;
        done.doing(|| format!("restart the container {id}"))
    }

    /// Freezes a container, or lets it go on.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn freeze(&self, id: &str, frozen: bool) -> Result<(), EngineError> {
        let done = if frozen {
            self.docker.pause_container(id).await
        } else {
            self.docker.unpause_container(id).await
        };
        let what = if frozen { "freeze" } else { "thaw" };
        unless(done, &[404, 409]).doing(|| format!("{what} the container {id}"))
    }

    /// Removes a container, running or not, with its anonymous volumes.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        unless(self.docker.remove_container(id, Some(options)).await, &[404, 409])
            .doing(|| format!("remove the container {id}"))
    }
}

/// The TCP ports that are published, with those of this machine.
fn published(ports: PortMap) -> Vec<(u16, u16)> {
    let tcp = ports.into_iter().filter_map(|(port, bindings)| {
        let port: u16 = port.strip_suffix("/tcp")?.parse().ok()?;
        let hosts = bindings.into_iter().flatten().filter_map(|binding| binding.host_port);
        Some(hosts.filter_map(|host| host.parse().ok()).map(move |host| (port, host)).collect())
    });
    sorted(tcp.flat_map(|pairs: Vec<(u16, u16)>| pairs).collect())
}

fn sorted(mut published: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    published.sort_unstable();
    published.dedup();
    published
}

fn read(summary: ContainerSummary) -> Container {
    let labels = summary.labels.unwrap_or_default();
    let name = summary.names.into_iter().flatten().next().unwrap_or_default();
    let networks = summary.network_settings.and_then(|s| s.networks).unwrap_or_default();
    let mut addresses = Vec::new();
    let mut ids = HashMap::new();
    for (network, endpoint) in networks {
        ids.insert(network.clone(), endpoint.network_id.unwrap_or_default());
        let both = [endpoint.ip_address, endpoint.global_ipv6_address];
        let ips = both.into_iter().flatten().filter_map(|ip| ip.parse().ok());
        addresses.extend(ips.map(|ip| (network.clone(), ip)));
    }
    addresses.sort();
    let ports = summary.ports.into_iter().flatten();
    let tcp = ports.filter(|port| port.typ == Some(PortSummaryTypeEnum::TCP));
    let published = tcp.filter_map(|port| Some((port.private_port, port.public_port?))).collect();
    Container {
        id: summary.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        service: labels.get(SERVICE).cloned().unwrap_or_default(),
        state: match summary.state {
            Some(ContainerSummaryStateEnum::RUNNING) => State::Running,
            Some(ContainerSummaryStateEnum::PAUSED) => State::Paused,
            Some(ContainerSummaryStateEnum::RESTARTING) => State::Restarting,
            Some(ContainerSummaryStateEnum::EXITED) => State::Exited,
            Some(ContainerSummaryStateEnum::CREATED) => State::Created,
            _ => State::Dead,
        },
        health: None,
        exit_code: None,
        addresses,
        published: sorted(published),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        networks: ids,
        labels,
    }
}
