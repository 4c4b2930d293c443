//! `far.*`: services of environments on far hosts, as they are reached from this machine; and what a host
//! tells of its services.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::service::Services;
use crate::{HostPath, Name};

/// Input of [`FarLink`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FarLinkInput {
    /// The host, by the name that the user gave it.
    pub host: Name,
}

/// Services on a far host, as they are reached from this machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct FarLinked {
    /// Each of them that is up.
    pub services: Vec<FarService>,
}

/// One service on a far host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FarService {
    /// The environment's name.
    pub env: Name,
    /// The project's folder there.
    pub root: HostPath,
    /// Its name in the Compose files.
    pub service: String,
    /// Its names, which lead to `address` here where the system asks the control plane for names.
    pub names: Vec<String>,
    /// This machine's own address that stands for it.
    pub address: IpAddr,
    /// The ports of that address which lead to the same ports of the service.
    pub ports: Vec<u16>,
    /// Where its web server is reached, what works now first; nothing when it speaks no HTTP.
    pub urls: Vec<String>,
    /// Whether the system finds its names.
    pub resolves: bool,
}

/// What a host tells of its services, a line of JSON whenever something changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FarNews {
    /// The environments whose services are up.
    pub environments: Vec<FarEnvironment>,
}

/// An environment on a far host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FarEnvironment {
    /// The project's folder there.
    pub root: HostPath,
    /// Its services.
    pub services: Services,
}

operation! {
    /// Makes the services of environments on a far host reachable from this machine, and lists them.
    FarLink: "far.link" Post "/far/{host}/link" Change
    (FarLinkInput) -> FarLinked, |i| i.host.to_string()
}
