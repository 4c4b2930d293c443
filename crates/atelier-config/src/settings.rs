//! Every setting with its origin: flags over environment variables over the project's file over
//! the home's file over defaults.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use atelier_api::EnvOptions;
use atelier_api::env::{NetworkMode, Resources};
use serde::{Deserialize, Serialize};

use crate::{ConfigError, Home, Layer, ProjectLayer, file, units};

/// Where services are reached from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// As the engine says.
    Auto,
    /// At the addresses of their containers.
    Addresses,
    /// At ports of 127.0.0.1 that the engine chooses.
    Loopback,
}

/// What an agent may do to the installed tools without a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consent {
    /// Nothing: it may look and use, and change nothing.
    Deny,
    /// What a person agrees to, asked through the agent; where that can't ask, nothing.
    Ask,
    /// Add what a registry calls verified; for the rest a person is asked.
    Verified,
    /// Everything.
    Allow,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// `config.yaml` of the home.
    HomeFile(PathBuf),
    /// `atelier.yaml` of the project.
    ProjectFile(PathBuf),
    /// An environment variable.
    Environment,
    /// A flag of the command.
    Flag,
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// Every setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `log.level`: a level or tracing directives.
    pub log_level: Setting<String>,
    /// `log.format`
    pub log_format: Setting<LogFormat>,
    /// `listen`: where the API is served over TCP.
    pub listen: Setting<Option<SocketAddr>>,
    /// `ingress`: where web servers inside environments are reached.
    pub ingress: Setting<Option<SocketAddr>>,
    /// `runtime` of new environments.
    pub runtime: Setting<String>,
    /// `network.mode` of new environments.
    pub network_mode: Setting<NetworkMode>,
    /// `network.allow` of new environments.
    pub network_allow: Setting<Vec<String>>,
    /// `resources.memory`, in bytes.
    pub memory: Setting<Option<u64>>,
    /// `resources.cpus`, in cores.
    pub cpus: Setting<Option<f64>>,
    /// `resources.processes`
    pub processes: Setting<u64>,
    /// `resources.disk`, in bytes.
    pub disk: Setting<Option<u64>>,
    /// `grants`: credentials that stay visible.
    pub grants: Setting<Vec<String>>,
    /// `idle_stop`: a sandbox without commands is stopped after this time.
    pub idle_stop: Setting<Option<Duration>>,
    /// `sandboxes.runtime`: what isolates a new sandbox.
    pub sandbox_runtime: Setting<String>,
    /// `sandboxes.criu`: CRIU, or a folder with an unpacked distribution that it lies in.
    pub criu: Setting<Option<String>>,
    /// `sandboxes.from`: the template, snapshot or image of a new sandbox.
    pub sandbox_from: Setting<String>,
    /// `domain`: ports of sandboxes are `PORT-ID.DOMAIN`.
    pub domain: Setting<String>,
    /// `tls.listen`: where the ingress speaks TLS.
    pub tls: Setting<Option<SocketAddr>>,
    /// `tls.certificate`: a PEM file, instead of the home's own authority.
    pub tls_certificate: Setting<Option<PathBuf>>,
    /// `tls.key`: its key.
    pub tls_key: Setting<Option<PathBuf>>,
    /// `ssh`: where the SSH server listens.
    pub ssh: Setting<Option<SocketAddr>>,
    /// `images.mirrors`, as `registry=URL`.
    pub mirrors: Setting<Vec<String>>,
    /// `images.insecure`: registries without TLS.
    pub insecure: Setting<Vec<String>>,
    /// `services.engine`: the container engine; found by itself when absent.
    pub engine: Setting<Option<String>>,
    /// `services.compose`: the Compose program, or `native` for none; found by itself when absent.
    pub compose: Setting<Option<PathBuf>>,
    /// `services.reach`: where services are reached from this machine.
    pub reach: Setting<Reach>,
    /// `services.subnets`: where environments' subnets come from.
    pub subnets: Setting<(Ipv4Addr, u8)>,
    /// `services.grace`: how long a shared service goes on unused.
    pub grace: Setting<Option<Duration>>,
    /// `dns.suffix`: what names of services end with.
    pub dns_suffix: Setting<String>,
    /// `dns.listen`: where the name server listens.
    pub dns: Setting<Option<SocketAddr>>,
    /// `tools.consent`: what an agent may do to the installed tools.
    pub consent: Setting<Consent>,
}

/// One setting for `atelier config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its dotted key.
    pub key: &'static str,
    /// Its value, as it would be written.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// Processes and threads that a sandbox may have when nobody says otherwise: far above any build,
/// and low enough that a fork bomb leaves the machine usable.
pub const DEFAULT_PROCESSES: u64 = 8192;
const DEFAULT_INGRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4780);
const DEFAULT_FROM: &str = "debian:bookworm-slim";
const DEFAULT_SSH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4722);
const DEFAULT_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4753);
const DEFAULT_SUBNETS: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 224, 0, 0), 12);
const DEFAULT_GRACE: Duration = Duration::from_secs(60);
const DEFAULT_IDLE_STOP: Duration = Duration::from_secs(30 * 60);

impl Settings {
    /// Reads every source and merges them.
    ///
    /// # Errors
    /// [`ConfigError`] for a file or a variable that is not valid.
    pub fn load(
        home: &Home,
        project: Option<&ProjectLayer>,
        env: impl Fn(&str) -> Option<OsString>,
        flags: Layer,
    ) -> Result<Self, ConfigError> {
        let path = home.config_file();
        let from_file = file::load(&path)?;
        let mut layers = vec![(Origin::Flag, flags), (Origin::Environment, Layer::from_env(env)?)];
        if let Some(project) = project {
            layers.push((Origin::ProjectFile(project.path.clone()), project.layer.clone()));
        }
        layers.push((Origin::HomeFile(path), from_file));
        Ok(Self::merge(&layers))
    }

    fn merge(layers: &[(Origin, Layer)]) -> Self {
        let network_mode = pick(layers, Layer::network_mode, NetworkMode::Open);
        let network_allow = rules(layers, &network_mode.origin);
        Self {
            log_level: pick(layers, |l| l.log_level.clone(), "info".to_owned()),
            log_format: pick(layers, |l| l.log_format, LogFormat::Text),
            listen: pick(layers, |l| l.listen, None),
            ingress: pick(layers, |l| l.ingress, Some(DEFAULT_INGRESS)),
            runtime: pick(layers, |l| l.runtime.clone(), "host".to_owned()),
            network_mode,
            network_allow,
            memory: pick(layers, |l| l.memory.map(Some), None),
            cpus: pick(layers, |l| l.cpus.map(Some), None),
            processes: pick(layers, |l| l.processes, DEFAULT_PROCESSES),
            disk: pick(layers, |l| l.disk.map(Some), None),
            grants: pick(layers, |l| l.grants.clone(), Vec::new()),
            idle_stop: pick(layers, |l| l.idle_stop, Some(DEFAULT_IDLE_STOP)),
            sandbox_runtime: pick(layers, |l| l.sandbox_runtime.clone(), "oci".to_owned()),
            criu: pick(layers, |l| l.criu.clone().map(Some), None),
            sandbox_from: pick(layers, |l| l.sandbox_from.clone(), DEFAULT_FROM.to_owned()),
            domain: pick(layers, |l| l.domain.clone(), "localhost".to_owned()),
            tls: pick(layers, |l| l.tls, None),
            tls_certificate: pick(layers, |l| l.tls_certificate.clone().map(Some), None),
            tls_key: pick(layers, |l| l.tls_key.clone().map(Some), None),
            ssh: pick(layers, |l| l.ssh, Some(DEFAULT_SSH)),
            mirrors: pick(layers, |l| l.mirrors.clone(), Vec::new()),
            insecure: pick(layers, |l| l.insecure.clone(), Vec::new()),
            engine: pick(layers, |l| l.engine.clone().map(Some), None),
            compose: pick(layers, |l| l.compose.clone().map(Some), None),
            reach: pick(layers, |l| l.reach, Reach::Auto),
            subnets: pick(layers, |l| l.subnets, DEFAULT_SUBNETS),
            grace: pick(layers, |l| l.grace, Some(DEFAULT_GRACE)),
            dns_suffix: pick(layers, |l| l.dns_suffix.clone(), "test".to_owned()),
            dns: pick(layers, |l| l.dns, Some(DEFAULT_DNS)),
            consent: pick(layers, |l| l.consent, Consent::Ask),
        }
    }

    /// What a new environment is made with.
    #[must_use]
    pub fn env_options(&self) -> EnvOptions {
        EnvOptions {
            runtime: Some(self.runtime.value.clone()),
            resources: Resources {
                memory: self.memory.value,
                cpus: self.cpus.value,
                processes: Some(self.processes.value),
                disk: self.disk.value,
            },
            network: Some(self.network_mode.value),
            allow: self.network_allow.value.clone(),
            grants: self.grants.value.clone(),
            ..EnvOptions::default()
        }
    }

    /// Every setting as text, in the order of the reference.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let size = |bytes: &Option<u64>| bytes.map_or("no limit".into(), units::format_size);
        let or = |address: &Option<SocketAddr>, word: &str| {
            address.map_or(word.to_owned(), |a| a.to_string())
        };
        vec![
            row("log.level", &self.log_level, Clone::clone),
            row("log.format", &self.log_format, word),
            row("listen", &self.listen, |v| or(v, "none")),
            row("ingress", &self.ingress, |v| or(v, "off")),
            row("runtime", &self.runtime, Clone::clone),
            row("network.mode", &self.network_mode, word),
            row("network.allow", &self.network_allow, |v| v.join(", ")),
            row("resources.memory", &self.memory, size),
            row("resources.cpus", &self.cpus, |v| v.map_or("no limit".into(), |n| n.to_string())),
            row("resources.processes", &self.processes, u64::to_string),
            row("resources.disk", &self.disk, size),
            row("grants", &self.grants, |v| v.join(", ")),
            row("idle_stop", &self.idle_stop, |v| v.map_or("never".into(), units::format_duration)),
            row("sandboxes.runtime", &self.sandbox_runtime, Clone::clone),
            row("sandboxes.criu", &self.criu, |v| v.clone().unwrap_or_default()),
            row("sandboxes.from", &self.sandbox_from, Clone::clone),
            row("domain", &self.domain, Clone::clone),
            row("tls.listen", &self.tls, |v| or(v, "off")),
            row("tls.certificate", &self.tls_certificate, path),
            row("tls.key", &self.tls_key, path),
            row("ssh", &self.ssh, |v| or(v, "off")),
            row("images.mirrors", &self.mirrors, |v| v.join(", ")),
            row("images.insecure", &self.insecure, |v| v.join(", ")),
            row("services.engine", &self.engine, |v| v.clone().unwrap_or_default()),
            row("services.compose", &self.compose, path),
            row("services.reach", &self.reach, word),
            row("services.subnets", &self.subnets, |v| format!("{}/{}", v.0, v.1)),
            row("services.grace", &self.grace, |v| {
                v.map_or("never".into(), units::format_duration)
            }),
            row("dns.suffix", &self.dns_suffix, Clone::clone),
            row("dns.listen", &self.dns, |v| or(v, "off")),
            row("tools.consent", &self.consent, word),
        ]
    }
}

fn path(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(String::new, |path| path.display().to_string())
}

/// The strongest layer's value. `layers` begins with the strongest.
fn pick<T>(
    layers: &[(Origin, Layer)],
    get: impl Fn(&Layer) -> Option<T>,
    default: T,
) -> Setting<T> {
    layers
        .iter()
        .find_map(|(origin, layer)| {
            get(layer).map(|value| Setting { value, origin: origin.clone() })
        })
        .unwrap_or(Setting { value: default, origin: Origin::Default })
}

/// The rules of the layer that set the mode, or of the first stronger one that gives some: a mode
/// that was set on purpose is not filled with rules from below it.
fn rules(layers: &[(Origin, Layer)], mode: &Origin) -> Setting<Vec<String>> {
    let end = layers.iter().position(|(origin, _)| origin == mode).map_or(layers.len(), |n| n + 1);
    pick(&layers[..end], |l| l.allow.clone(), Vec::new())
}

fn row<T>(key: &'static str, setting: &Setting<T>, show: impl Fn(&T) -> String) -> Row {
    Row { key, value: show(&setting.value), origin: setting.origin.to_string() }
}

/// An enum's word as it is written in files.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::HomeFile(path) | Self::ProjectFile(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str, project: Layer, env: &[(&str, &str)], flags: Layer) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        std::fs::write(home.config_file(), yaml).unwrap();
        let project = ProjectLayer {
            path: "/p/atelier.yaml".into(),
            layer: project,
            ..ProjectLayer::default()
        };
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
        Settings::load(&home, Some(&project), env, flags).unwrap()
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let settings =
            Settings::load(&Home::at("/nowhere"), None, |_| None, Layer::default()).unwrap();
        let rows: Vec<_> = settings.rows().into_iter().map(|r| (r.key, r.value)).collect();
        assert!(rows.contains(&("ingress", "127.0.0.1:4780".into())), "{rows:?}");
        assert!(rows.contains(&("resources.processes", "8192".into())), "{rows:?}");
        assert!(rows.contains(&("idle_stop", "30m".into())), "{rows:?}");
        assert!(rows.contains(&("network.mode", "open".into())), "{rows:?}");
        assert!(settings.rows().iter().all(|r| r.origin == "default"));
    }

    #[test]
    fn each_source_is_stronger_than_the_one_below_it() {
        let yaml = "resources: {memory: 1g, cpus: 1, processes: 1, disk: 1g}\n";
        let project =
            Layer { cpus: Some(2.0), processes: Some(2), disk: Some(2), ..Layer::default() };
        let env = [("ATELIER_PROCESSES", "3"), ("ATELIER_DISK", "3")];
        let flags = Layer { disk: Some(4), ..Layer::default() };
        let s = load(yaml, project, &env, flags);
        assert!(matches!(s.memory.origin, Origin::HomeFile(_)));
        assert_eq!(s.cpus.origin, Origin::ProjectFile("/p/atelier.yaml".into()));
        assert_eq!((s.processes.value, s.processes.origin), (3, Origin::Environment));
        assert_eq!((s.disk.value, s.disk.origin), (Some(4), Origin::Flag));
    }

    #[test]
    fn rules_imply_the_mode_and_belong_to_it() {
        let rules = || Some(vec!["example.org:443".to_owned()]);
        let implied = load("", Layer { allow: rules(), ..Layer::default() }, &[], Layer::default());
        assert_eq!(implied.network_mode.value, NetworkMode::Allowlist);
        let cut = load(
            "",
            Layer { allow: rules(), ..Layer::default() },
            &[("ATELIER_NETWORK", "none")],
            Layer::default(),
        );
        assert_eq!(cut.network_mode.value, NetworkMode::None);
        assert!(cut.network_allow.value.is_empty());
    }

    #[test]
    fn a_bad_variable_is_named() {
        let env = |name: &str| (name == "ATELIER_MEMORY").then(|| "lots".into());
        let error = Settings::load(&Home::at("/nowhere"), None, env, Layer::default()).unwrap_err();
        assert!(error.to_string().starts_with("ATELIER_MEMORY=lots: "), "{error}");
    }
}
