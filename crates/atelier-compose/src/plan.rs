//! What a rewritten project consists of, for whoever creates and publishes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::subnet::{SubnetV4, SubnetV6};

/// One complete Compose file, and what stands in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The file, for `-f`: complete, with `$` written as `$$`. [`crate::plain`] undoes that.
    pub file: Value,
    /// The services that run here, by name.
    pub services: Vec<ServicePlan>,
    /// To be created before the file is used. The first is the environment's main network.
    pub networks: Vec<NetworkPlan>,
    /// The volumes that the file names.
    pub volumes: Vec<VolumePlan>,
    /// Services that another instance provides, with where they were reachable.
    pub shared: Vec<SharedUse>,
    /// Variables that secrets and configs are made from: the tool needs them when it runs.
    pub variables: Vec<String>,
    /// What the user should know, a sentence each.
    pub notes: Vec<String>,
}

/// A port that a service listens on inside its container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The number.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// Its name in the project.
    pub name: String,
    /// Static addresses in the file, the main network's first. Empty when the engine chooses
    /// (several replicas) or when it is on no network of ours.
    pub addresses: Vec<IpAddr>,
    /// The service whose network it uses (`network_mode: service:X`).
    pub via: Option<String>,
    /// What it listens on, as far as its definition says.
    pub ports: Vec<Port>,
    /// The port that speaks HTTP.
    pub web: Option<u16>,
    /// Whether it answers under the environment's own name. At most one does.
    pub ingress: bool,
    /// Further host names, complete.
    pub hostnames: Vec<String>,
    /// Whether its label asks for one instance for all environments.
    pub share: bool,
    /// How many containers.
    pub replicas: u32,
    /// Whether it says when it is healthy.
    pub health: bool,
    /// Whether its image is built here.
    pub build: bool,
    /// Services of this file that it waits for.
    pub depends_on: Vec<String>,
    /// Its named volumes, by their names on the engine.
    pub volumes: Vec<String>,
    /// A command inside it that writes its data to standard output.
    pub dump: Option<String>,
    /// A command inside it that reads its data from standard input.
    pub restore: Option<String>,
}

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Its key in the file.
    pub key: String,
    /// Its name on the engine.
    pub name: String,
    /// Its addresses.
    pub subnet_v4: SubnetV4,
    /// Where the engine chooses addresses from; static ones are outside of it.
    pub range_v4: SubnetV4,
    /// The host's address.
    pub gateway_v4: Ipv4Addr,
    /// Its IPv6 addresses.
    pub subnet_v6: Option<SubnetV6>,
    /// Where the engine chooses IPv6 addresses from.
    pub range_v6: Option<SubnetV6>,
    /// The host's IPv6 address.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Whether it leads nowhere but to its services.
    pub internal: bool,
    /// Options of the bridge driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The project's and the scope's labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume that the file names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlan {
    /// Its key in the file.
    pub key: String,
    /// Its name on the engine.
    pub name: String,
    /// Whether the project says that it exists already: it is shared by all environments.
    pub external: bool,
    /// The project's and the scope's labels.
    pub labels: BTreeMap<String, String>,
}

/// A service that another instance provides, and how it was known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedUse {
    /// Its name in the project.
    pub name: String,
    /// The networks of this file that it was on, by their names on the engine.
    pub networks: Vec<String>,
    /// The names that it had there, its own first.
    pub aliases: Vec<String>,
    /// Whether a service here waits until it is healthy.
    pub healthy: bool,
    /// Whether a service here waits until it has ended well.
    pub completed: bool,
}

/// A complete file of one shared service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedFile {
    /// The file and what stands in it; one service.
    pub generated: Generated,
    /// Of its definition, in hexadecimal; the order of keys and the folder don't matter.
    pub hash: String,
}
