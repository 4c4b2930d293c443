//! `env.up`, `env.down` and the like: the services of a project's Compose files, in an environment.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::place;
use crate::operation::operation;
use crate::{HostPath, Name};

/// Input of [`EnvUp`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvUpInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Only these services, and those that they depend on; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// How they are started.
    #[serde(flatten)]
    pub options: UpOptions,
}

/// How services are started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UpOptions {
    /// Compose profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Build images anew.
    pub build: bool,
    /// Make containers anew although nothing changed.
    pub recreate: bool,
    /// Services that are shared with the project's other environments, besides the labelled ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub share: Vec<String>,
    /// Services that are not shared although they are labelled so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub isolate: Vec<String>,
    /// Publish the ports that the files publish, each at a free port of 127.0.0.1.
    pub publish: bool,
    /// Start services although the environment's Compose files ask more of this machine than the project's.
    pub trust: bool,
    /// Start volumes as a copy of those of another environment, or of a seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_from: Option<String>,
    /// Seconds that services may take until they run and are healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// Input of [`EnvDown`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvDownInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Remove the volumes with what they hold.
    #[serde(default)]
    pub volumes: bool,
}

/// Input of [`EnvRestart`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvRestartInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Only these; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// Input of [`EnvUrl`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvUrlInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// The service; the one that the project's own name leads to when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A port of it; the one that speaks HTTP when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Where a service is reached from this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceUrl {
    /// The service.
    pub service: String,
    /// What works now.
    pub url: String,
    /// What works as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

/// Input of [`EnvServiceLogs`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvServiceLogsInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// Only these services; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Only so many of the newest lines of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
}

/// What one container wrote.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServiceLog {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// Standard output and standard error as they came, in Base64.
    pub output_base64: String,
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// It is not there.
    Down,
    /// Its container was made and not started.
    Created,
    /// It runs; its health check, if it has one, does not object.
    Running,
    /// It runs, and its health check has not said anything yet.
    Starting,
    /// It runs, and its health check says that it is not well.
    Unhealthy,
    /// It is frozen.
    Paused,
    /// It ends and is started again.
    Restarting,
    /// It ended.
    Exited,
}

/// One service of an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// Its name in the Compose files.
    pub name: String,
    /// What it is doing.
    pub state: ServiceState,
    /// How it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The ports that it listens on, as its files say.
    pub ports: Vec<u16>,
    /// Its names from this machine and from the environment's commands.
    pub names: Vec<String>,
    /// Where it is reached from this machine, if it speaks HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether other environments use the same instance.
    pub shared: bool,
    /// Its containers.
    pub containers: Vec<String>,
    /// Its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The services of an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// The environment's name.
    pub env: Name,
    /// The project's name.
    pub project: String,
    /// Each of them, by name.
    pub services: Vec<ServiceView>,
    /// The name that leads to its web server, below the suffix of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apex: Option<String>,
    /// Its networks.
    pub subnets: Vec<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Input of [`NetworkInfo`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct NetworkInfoInput {}

/// The networks of environments.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NetworkReport {
    /// The engine with its version.
    pub engine: String,
    /// The range that subnets come from.
    pub range: String,
    /// How many subnets are left.
    pub free: u64,
    /// Those that are taken.
    pub networks: Vec<NetworkView>,
}

/// One network.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NetworkView {
    /// Its name in the engine.
    pub name: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// The environment, as `project/env`; absent when nothing stands behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

operation! {
    /// Starts an environment's services, and waits until they run and are healthy.
    EnvUp: "env.up" Post "/environments/{env}/up" Change
    (EnvUpInput) -> Services, |i| place(&i.env, &i.project)
}
operation! {
    /// Stops an environment's services; what their volumes hold is kept unless it is asked for.
    EnvDown: "env.down" Post "/environments/{env}/down" Change
    (EnvDownInput) -> Services, |i| place(&i.env, &i.project)
}
operation! {
    /// Restarts services of an environment.
    EnvRestart: "env.restart" Post "/environments/{env}/restart" Change
    (EnvRestartInput) -> Services, |i| place(&i.env, &i.project)
}
operation! {
    /// Shows what an environment's services are doing.
    EnvStatus: "env.status" Get "/environments/{env}/services" Read
    (crate::env::EnvRef) -> Services, |i| place(&i.env, &i.project)
}
operation! {
    /// Tells where a service is reached from this machine.
    EnvUrl: "env.url" Get "/environments/{env}/url" Read
    (EnvUrlInput) -> ServiceUrl, |i| place(&i.env, &i.project)
}
operation! {
    /// Gives what an environment's services wrote.
    EnvServiceLogs: "env.service_logs" Get "/environments/{env}/service-logs" Read
    (EnvServiceLogsInput) -> Vec<ServiceLog>, |i| place(&i.env, &i.project)
}
operation! {
    /// Lists the networks of environments.
    NetworkInfo: "network.info" Get "/networks" Read
    (NetworkInfoInput) -> NetworkReport, |_i| String::new()
}
operation! {
    /// Takes an environment's networks away and makes them anew; services are started again with their data.
    NetworkRecreate: "network.recreate" Post "/environments/{env}/network" Change
    (crate::env::EnvRef) -> Services, |i| place(&i.env, &i.project)
}
