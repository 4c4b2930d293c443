//! `hostnames.*` and `dns.*`: further names of services, and the server that answers for names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::place;
use crate::operation::operation;
use crate::system::Nothing;
use crate::{HostPath, Name};

/// Input of [`HostnamesAdd`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HostnamesAddInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// The service that the name is for.
    pub service: String,
    /// The name: a bare one stands below the environment's own, others end with the suffix.
    pub name: String,
}

/// Input of [`HostnamesRemove`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HostnamesRemoveInput {
    /// The environment's name.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
    /// The name, bare or whole.
    pub name: String,
}

/// Who gave a service a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameSource {
    /// Every service has it.
    Own,
    /// A label of the Compose files, or `services.hostnames` of `atelier.yaml`.
    Files,
    /// `hostnames.add`.
    Added,
}

/// A name of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hostname {
    /// The whole name.
    pub name: String,
    /// The service.
    pub service: String,
    /// Who gave it the name.
    pub source: NameSource,
    /// Whether it leads there now.
    pub up: bool,
}

/// How names are answered for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsReport {
    /// Where the name server listens; absent when it is off or its port is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Why it does not listen although it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What its names end with.
    pub suffix: String,
    /// How many names of services there are.
    pub names: u64,
    /// A name that leads to 127.0.0.1 wherever the system asks this very server.
    pub probe: String,
    /// Whether the control plane's own look-up of it worked.
    pub resolves: bool,
    /// To whom questions for other names are passed on, because the system asks nobody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<String>,
}

operation! {
    /// Gives a service of an environment a further name.
    HostnamesAdd: "hostnames.add" Post "/environments/{env}/hostnames" Change
    (HostnamesAddInput) -> Hostname, |i| format!("{} {}", place(&i.env, &i.project), i.name)
}
operation! {
    /// Takes a further name of an environment away.
    HostnamesRemove: "hostnames.rm" Delete "/environments/{env}/hostnames/{name}" Change
    (HostnamesRemoveInput) -> Hostname, |i| format!("{} {}", place(&i.env, &i.project), i.name)
}
operation! {
    /// Lists the names of an environment's services.
    HostnamesList: "hostnames.list" Get "/environments/{env}/hostnames" Read
    (crate::env::EnvRef) -> Vec<Hostname>, |i| place(&i.env, &i.project)
}
operation! {
    /// Tells how names are answered for, and looks whether they are found.
    DnsStatus: "dns.status" Get "/dns" Read
    (Nothing) -> DnsReport, |_i| String::new()
}
