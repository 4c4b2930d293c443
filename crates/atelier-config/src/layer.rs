//! One source of settings: what it sets, and nothing else. Sources differ in how they are read;
//! from here on they are alike.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use atelier_api::EnvOptions;
use atelier_api::env::NetworkMode;

use crate::{ConfigError, Consent, LogFormat, Reach, env_vars, units};

/// What one source sets. Absent means that the source says nothing of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    /// `log.level`
    pub log_level: Option<String>,
    /// `log.format`
    pub log_format: Option<LogFormat>,
    /// `listen`; the inner `None` is "none".
    pub listen: Option<Option<SocketAddr>>,
    /// `ingress`; the inner `None` is "off".
    pub ingress: Option<Option<SocketAddr>>,
    /// `runtime`
    pub runtime: Option<String>,
    /// `network.mode`
    pub network: Option<NetworkMode>,
    /// `network.allow`
    pub allow: Option<Vec<String>>,
    /// `resources.memory`, in bytes.
    pub memory: Option<u64>,
    /// `resources.cpus`, in cores.
    pub cpus: Option<f64>,
    /// `resources.processes`
    pub processes: Option<u64>,
    /// `resources.disk`, in bytes.
    pub disk: Option<u64>,
    /// `grants`
    pub grants: Option<Vec<String>>,
    /// `idle_stop`; the inner `None` is "never".
    pub idle_stop: Option<Option<Duration>>,
    /// `sandboxes.runtime`
    pub sandbox_runtime: Option<String>,
    /// `sandboxes.criu`.
    pub criu: Option<String>,
    /// `sandboxes.from`
    pub sandbox_from: Option<String>,
    /// `domain`
    pub domain: Option<String>,
    /// `tls.listen`; the inner `None` is "off".
    pub tls: Option<Option<SocketAddr>>,
    /// `tls.certificate`
    pub tls_certificate: Option<PathBuf>,
    /// `tls.key`
    pub tls_key: Option<PathBuf>,
    /// `ssh`; the inner `None` is "off".
    pub ssh: Option<Option<SocketAddr>>,
    /// `images.mirrors`, as `registry=URL`.
    pub mirrors: Option<Vec<String>>,
    /// `images.insecure`
    pub insecure: Option<Vec<String>>,
    /// `services.engine`
    pub engine: Option<String>,
    /// `services.compose`
    pub compose: Option<PathBuf>,
    /// `services.reach`
    pub reach: Option<Reach>,
    /// `tools.consent`
    pub consent: Option<Consent>,
    /// `services.subnets`
    pub subnets: Option<(Ipv4Addr, u8)>,
    /// `services.grace`; the inner `None` is "never".
    pub grace: Option<Option<Duration>>,
    /// `dns.suffix`
    pub dns_suffix: Option<String>,
    /// `dns.listen`; the inner `None` is "off".
    pub dns: Option<Option<SocketAddr>>,
}

/// What a project's `atelier.yaml` sets, and what the command line needs of it besides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProjectLayer {
    /// The file.
    pub path: PathBuf,
    /// Its settings.
    pub layer: Layer,
    /// `commands`: shell command lines by name.
    pub commands: BTreeMap<String, String>,
}

impl Layer {
    /// What the environment variables set.
    ///
    /// # Errors
    /// [`ConfigError::Variable`] for a value that cannot be read.
    pub fn from_env(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let get = |name: &'static str| -> Result<Option<String>, ConfigError> {
            let set = env(name).filter(|value| !value.is_empty());
            set.map(|value| value.into_string().map_err(|v| not_text(name, &v))).transpose()
        };
        Ok(Self {
            log_level: get(env_vars::LOG)?,
            log_format: read(env_vars::LOG_FORMAT, get, parse_format)?,
            listen: None,
            ingress: read(env_vars::INGRESS, get, |t| parse_address(t, "off"))?,
            runtime: get(env_vars::RUNTIME)?,
            network: read(env_vars::NETWORK, get, parse_network)?,
            allow: get(env_vars::ALLOW)?.map(|text| list(&text)),
            memory: read(env_vars::MEMORY, get, |t| in_words(units::parse_size(t)))?,
            cpus: read(env_vars::CPUS, get, |t| in_words(units::parse_cpus(t)))?,
            processes: read(env_vars::PROCESSES, get, |t| in_words(units::parse_count(t)))?,
            disk: read(env_vars::DISK, get, |t| in_words(units::parse_size(t)))?,
            grants: get(env_vars::GRANTS)?.map(|text| list(&text)),
            idle_stop: read(env_vars::IDLE_STOP, get, parse_idle)?,
            sandbox_runtime: get(env_vars::SANDBOX_RUNTIME)?,
            criu: get(env_vars::CRIU)?,
            sandbox_from: get(env_vars::SANDBOX_FROM)?,
            domain: get(env_vars::DOMAIN)?,
            tls: read(env_vars::TLS, get, |t| parse_address(t, "off"))?,
            tls_certificate: get(env_vars::TLS_CERTIFICATE)?.map(PathBuf::from),
            tls_key: get(env_vars::TLS_KEY)?.map(PathBuf::from),
            ssh: read(env_vars::SSH, get, |t| parse_address(t, "off"))?,
            mirrors: get(env_vars::MIRRORS)?.map(|text| list(&text)),
            insecure: get(env_vars::INSECURE)?.map(|text| list(&text)),
            engine: get(env_vars::ENGINE)?,
            compose: get(env_vars::COMPOSE)?.map(PathBuf::from),
            reach: read(env_vars::REACH, get, parse_reach)?,
            subnets: read(env_vars::SUBNETS, get, parse_range)?,
            grace: read(env_vars::GRACE, get, parse_idle)?,
            dns_suffix: read(env_vars::DNS_SUFFIX, get, parse_suffix)?,
            dns: read(env_vars::DNS, get, |t| parse_address(t, "off"))?,
            consent: read(env_vars::CONSENT, get, parse_consent)?,
        })
    }

    /// What this layer says of an environment, for a call. A rule without a mode implies the
    /// mode `allowlist`, as everywhere.
    #[must_use]
    pub fn env_options(&self) -> EnvOptions {
        let mut options = EnvOptions {
            runtime: self.runtime.clone(),
            network: self.network_mode(),
            allow: self.allow.clone().unwrap_or_default(),
            grants: self.grants.clone().unwrap_or_default(),
            ..EnvOptions::default()
        };
        options.resources.memory = self.memory;
        options.resources.cpus = self.cpus;
        options.resources.processes = self.processes;
        options.resources.disk = self.disk;
        options
    }

    /// The mode that this layer sets, by name or by giving rules.
    #[must_use]
    pub fn network_mode(&self) -> Option<NetworkMode> {
        let ruled = self.allow.as_ref().is_some_and(|rules| !rules.is_empty());
        self.network.or_else(|| ruled.then_some(NetworkMode::Allowlist))
    }

    /// This layer, and below it another one: what this one does not set comes from there.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        // Rules belong to the mode that was set with them; a stronger mode drops weaker rules.
        let mode = self.network_mode();
        let allow = if mode.is_some() { self.allow } else { self.allow.or(below.allow.clone()) };
        Self {
            log_level: self.log_level.or(below.log_level.clone()),
            log_format: self.log_format.or(below.log_format),
            listen: self.listen.or(below.listen),
            ingress: self.ingress.or(below.ingress),
            runtime: self.runtime.or(below.runtime.clone()),
            network: mode.or_else(|| below.network_mode()),
            allow,
            memory: self.memory.or(below.memory),
            cpus: self.cpus.or(below.cpus),
            processes: self.processes.or(below.processes),
            disk: self.disk.or(below.disk),
            grants: self.grants.or(below.grants),
            idle_stop: self.idle_stop.or(below.idle_stop),
            sandbox_runtime: self.sandbox_runtime.or(below.sandbox_runtime),
            criu: self.criu.or(below.criu),
            sandbox_from: self.sandbox_from.or(below.sandbox_from),
            domain: self.domain.or(below.domain),
            tls: self.tls.or(below.tls),
            tls_certificate: self.tls_certificate.or(below.tls_certificate),
            tls_key: self.tls_key.or(below.tls_key),
            ssh: self.ssh.or(below.ssh),
            mirrors: self.mirrors.or(below.mirrors),
            insecure: self.insecure.or(below.insecure),
            engine: self.engine.or(below.engine),
            compose: self.compose.or(below.compose),
            reach: self.reach.or(below.reach),
            consent: self.consent.or(below.consent),
            subnets: self.subnets.or(below.subnets),
            grace: self.grace.or(below.grace),
            dns_suffix: self.dns_suffix.or(below.dns_suffix),
            dns: self.dns.or(below.dns),
        }
    }
}

impl From<&EnvOptions> for Layer {
    /// What a call's options set.
    fn from(options: &EnvOptions) -> Self {
        let list = |l: &Vec<String>| (!l.is_empty()).then(|| l.clone());
        Self {
            runtime: options.runtime.clone(),
            network: options.network,
            allow: list(&options.allow),
            memory: options.resources.memory,
            cpus: options.resources.cpus,
            processes: options.resources.processes,
            disk: options.resources.disk,
            grants: list(&options.grants),
            ..Self::default()
        }
    }
}

fn read<T>(
    name: &'static str,
    get: impl Fn(&'static str) -> Result<Option<String>, ConfigError>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = get(name)? else { return Ok(None) };
    match parse(&value) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(message) => Err(ConfigError::Variable { name, value, message }),
    }
}

fn not_text(name: &'static str, value: &OsString) -> ConfigError {
    let value = value.to_string_lossy().into_owned();
    ConfigError::Variable { name, value, message: "it is not UTF-8".into() }
}

fn in_words<T>(result: Result<T, units::BadUnit>) -> Result<T, String> {
    result.map_err(|e| e.to_string())
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

fn parse_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write text or json".into()),
    }
}

fn parse_reach(text: &str) -> Result<Reach, String> {
    match text {
        "auto" => Ok(Reach::Auto),
        "addresses" => Ok(Reach::Addresses),
        "loopback" => Ok(Reach::Loopback),
        _ => Err("write auto, addresses or loopback".into()),
    }
}

fn parse_consent(text: &str) -> Result<Consent, String> {
    match text {
        "deny" => Ok(Consent::Deny),
        "ask" => Ok(Consent::Ask),
        "verified" => Ok(Consent::Verified),
        "allow" => Ok(Consent::Allow),
        _ => Err("write deny, ask, verified or allow".into()),
    }
}

fn parse_network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "open" => Ok(NetworkMode::Open),
        "none" => Ok(NetworkMode::None),
        "allowlist" => Ok(NetworkMode::Allowlist),
        _ => Err("write open, none or allowlist".into()),
    }
}

/// A range of IPv4 addresses that subnets of /24 are cut from.
pub(crate) fn parse_range(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let wrong = || "write a range of IPv4 addresses such as 10.224.0.0/12".to_owned();
    let (first, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let first: Ipv4Addr = first.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    if !(8..=24).contains(&prefix) || first.to_bits() & !mask != 0 {
        return Err("the range must be of /8 to /24 and begin at its first address".into());
    }
    Ok((first, prefix))
}

/// The last labels of a name.
pub(crate) fn parse_suffix(text: &str) -> Result<String, String> {
    let suffix = text.trim_matches('.').to_ascii_lowercase();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if suffix.is_empty() || suffix.len() > 100 || !suffix.chars().all(fine) {
        return Err("write the end of a host name such as test".into());
    }
    Ok(suffix)
}

/// An address of this machine, or the word for "nowhere".
pub(crate) fn parse_address(text: &str, off: &str) -> Result<Option<SocketAddr>, String> {
    if text == off {
        return Ok(None);
    }
    let parsed = text.replace("localhost:", "127.0.0.1:").parse();
    parsed.map(Some).map_err(|_| {
        format!("{text:?} is not an address; write an IP address and a port such as 127.0.0.1:4780, or {off}")
    })
}

/// A time, or `never`.
pub(crate) fn parse_idle(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    units::parse_duration(text).map(Some).map_err(|e| format!("{e}; or never"))
}
