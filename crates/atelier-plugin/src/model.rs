//! What a plugin can say: the shapes of `plugin.yaml`, those of ATK and those that `atelier/1`
//! adds. How they are read is `read`'s business.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// A `plugin.yaml`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "plugin.yaml of Atelier", extend("$id" = "urn:atelier:schema:plugin:1"))]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// `atelier/1`, or a date (`2026-08-20`) for a plugin of ATK.
    #[schemars(regex(pattern = r"^(atelier/1|\d{4}-\d{2}-\d{2})$"))]
    pub schema_version: String,
    /// The name for people. The slug is made from it.
    pub name: String,
    /// What it is, in a line.
    pub description: String,
    /// How far it is to be trusted.
    #[serde(default)]
    pub maturity: Maturity,
    /// Who makes what it installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Vendor>,
    /// How its service runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The ports it listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// The settings it takes from its environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_vars: Vec<Variable>,
    /// The commands of its life, given to `sh -c` in its folder.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Its MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Mcp>,
    /// What to back up, and what an upgrade keeps (`atelier/1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Data>,
    /// The packages it runs, pinned (`atelier/1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// How to ask whether it is well (`atelier/1`; ATK's `health_endpoint` is read into it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Slugs of tools that have to run before it (`atelier/1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Where it runs: `linux`, `linux/amd64`, `darwin/arm64`. Empty: everywhere (`atelier/1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Run the MCP server in a sandbox of Atelier (`atelier/1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
}

/// How far a plugin is to be trusted, as its author says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Maturity {
    /// Made by a program; nobody has looked.
    #[default]
    AiGenerated,
    /// A person has made or checked it.
    Community,
    /// A registry's keepers have tested it.
    Verified,
}

/// Who makes what the plugin installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// Their name.
    pub name: String,
    /// Their site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Their documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// How the service of a plugin runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What runs it.
    #[serde(rename = "type", default)]
    pub kind: ServiceKind,
    /// Its Compose file, relative to the plugin's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_file: Option<String>,
    /// Its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_name: Option<String>,
    /// The image of a `docker` service (`atelier/1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Program and arguments of a `process` service, or the arguments of a `docker` one
    /// (`atelier/1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// When it is started again after it ended (`atelier/1`).
    #[serde(default)]
    pub restart: Restart,
}

/// What runs a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// `docker compose`.
    #[default]
    #[serde(alias = "compose")]
    DockerCompose,
    /// One container.
    Docker,
    /// A unit of systemd.
    Systemd,
    /// The plugin's own scripts.
    Script,
    /// A process that Atelier keeps (`atelier/1`).
    Process,
}

/// When a service is started again after it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    Never,
    /// When its code is not 0.
    OnFailure,
    /// Whenever it ended by itself.
    Always,
}

/// A port that a plugin listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `http`, `https`, `tcp`, …
    #[serde(default = "http")]
    pub protocol: String,
    /// What is behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

pub(crate) fn http() -> String {
    "http".to_owned()
}

/// A setting that a plugin takes from its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    #[schemars(regex(pattern = r"^[A-Z_][A-Z0-9_]*$"))]
    pub name: String,
    /// Nothing runs without it.
    #[serde(default)]
    pub required: bool,
    /// It is kept encrypted and shown to nobody.
    #[serde(default)]
    pub secret: bool,
    /// What it is when nobody sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The only values it takes (`atelier/1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What kind of value it is (`atelier/1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// Kinds of values that can be checked before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A URL with its scheme.
    Url,
    /// A file or folder that exists.
    Path,
    /// A TCP port.
    Port,
}

/// The commands of a plugin's life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// Installs or updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<String>,
    /// Takes back what `install` did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<String>,
    /// Starts the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Shows its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// Ends with 0 while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// A URL that answers while it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_endpoint: Option<String>,
    /// Saves its data; ATK's plugins name such a script `backup` (`atelier/1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Brings saved data back (`atelier/1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
}

/// The MCP server of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mcp {
    /// How it is spoken to.
    pub transport: Transport,
    /// The program of a `stdio` server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its arguments; `$NAME` is a setting's value, `$ATK_PLUGIN_DIR` or `$ATELIER_TOOL_DIR` the
    /// plugin's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The URL of an `http` or `sse` server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// HTTP headers; `$NAME` as in `args` (`atelier/1`).
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
    /// The settings that it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The longest that one call may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How an MCP server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A process of one's own.
    Stdio,
    /// Server-sent events, the transport of 2024-11-05.
    Sse,
    /// Streamable HTTP.
    Http,
}

/// What belongs to the user and not to the plugin: backed up, and kept by upgrades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Data {
    /// A file or a folder: relative to the plugin's folder, or below `~/`.
    Path(String),
    /// A Docker volume.
    Volume(String),
    /// An SQLite database, as `path`.
    Sqlite(String),
    /// What commands save to their output and bring back from their input.
    Dump(Dump),
}

/// A database that only its own tool saves well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// What it is called in a backup.
    pub name: String,
    /// Writes it to its output: `docker compose exec -T db pg_dump -U app app`.
    pub save: String,
    /// Reads it from its input.
    pub load: String,
}

/// A package that a plugin runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Package {
    /// `name@1.2.3`.
    Npm(String),
    /// `name==1.2.3`.
    Pypi(String),
    /// `image:tag@sha256:…`.
    Oci(String),
}

/// How to ask whether a service is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Who is asked.
    #[serde(flatten)]
    pub ask: Ask,
    /// Between two questions; default 2 s. In the file: `10s`, `1m`.
    #[serde(default = "interval", with = "crate::span")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// For an answer; default 5 s.
    #[serde(default = "timeout", with = "crate::span")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Failures until it counts as unwell; default 5.
    #[serde(default = "retries")]
    pub retries: u32,
    /// From the start, while failures don't count; default 30 s.
    #[serde(default = "start_period", with = "crate::span")]
    #[schemars(with = "String")]
    pub start_period: Duration,
}

/// Who is asked whether a service is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A URL that answers with a status below 400.
    Http(String),
    /// `host:port` that takes connections.
    Tcp(String),
    /// A command that ends with 0.
    Command(String),
}

pub(crate) const fn interval() -> Duration {
    Duration::from_secs(2)
}
pub(crate) const fn timeout() -> Duration {
    Duration::from_secs(5)
}
pub(crate) const fn retries() -> u32 {
    5
}
pub(crate) const fn start_period() -> Duration {
    Duration::from_secs(30)
}

/// How the MCP server is locked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// The runtime, such as `host` or `gvisor`; default: the home's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The hosts it may reach; default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

impl Plugin {
    /// Whether it is one of Atelier's own schema.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.schema_version == crate::SCHEMA
    }

    /// The variable of a name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.env_vars.iter().find(|variable| variable.name == name)
    }
}
