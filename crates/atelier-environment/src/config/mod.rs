//! `atelier.yaml`: what a project says of its environments. Reading and checking only; whoever
//! uses a setting defines what it does.

mod cilo;
mod files;
mod read;
mod size;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;

use atelier_api::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use cilo::FILE as CILO;
pub use files::{Copy, Files, Render, Replace};
pub use size::ByteSize;
pub use template::template;

/// The name of the file in a project's top folder.
pub const FILE_NAME: &str = "atelier.yaml";

/// The settings of a project. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "atelier.yaml")]
pub struct Config {
    /// The project's name; its folder's name when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What isolates its environments; `host` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// What one environment may use.
    #[serde(skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// Credentials of the home directory that are visible inside, by name, such as `ssh`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Environment variables for every command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// A shell command that is run once, when an environment is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// A shell command that is run once, before `init`, when an environment is made: it fetches secrets. What
    /// it writes to its terminal is neither shown nor kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<String>,
    /// What of the files that git does not keep comes along, and what is rendered.
    #[serde(skip_serializing_if = "is_default")]
    pub files: Files,
    /// Shell commands by name, for `atelier run ENV NAME`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<String, String>,
    /// What an environment may reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Its services.
    #[serde(skip_serializing_if = "is_default")]
    pub services: Services,
    /// The port of the project's web server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What of another tool's file can't be honoured.
    #[serde(skip)]
    #[schemars(skip)]
    pub notes: Vec<String>,
}

/// The services of a project: its Compose files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// Whether `atelier run` starts them.
    pub start: bool,
    /// Compose files, in order; those that Compose finds by itself when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Files with variables for the Compose files; `.env` when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<PathBuf>,
    /// Compose profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Further names of services: bare ones stand below the environment's own, others end with the suffix. Names of
    /// `""` lead to the service that answers under the environment's own name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hostnames: BTreeMap<String, Vec<String>>,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            start: true,
            files: Vec::new(),
            env_files: Vec::new(),
            profiles: Vec::new(),
            hostnames: BTreeMap::new(),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Limits of one environment; no limit where absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Memory of all its processes, such as `2GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Processors, such as `1.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01))]
    pub cpus: Option<f64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub processes: Option<u32>,
    /// Bytes that it may write, such as `10GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
}

/// What an environment may reach: `open`, `none`, or only the places that are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Everything that this machine reaches.
    Open,
    /// Nothing.
    None,
    /// Only these, as `host:port`.
    Allow(Vec<String>),
}
