//! Groups of arguments that verbs about sandboxes share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use atelier_api::Name;
use atelier_api::env::{NetworkMode, Resources};
use atelier_api::sandbox::{Expiry, HostRule, NetworkPolicy, Rates, SandboxOptions};
use atelier_api::volume::VolumeMount;
use atelier_config::units;
use clap::{Args, ValueEnum};

use crate::args::{Network, name};
use crate::failure::Failure;
use crate::variables::VariableArgs;

/// One sandbox.
#[derive(Debug, Args)]
pub(crate) struct SandboxArg {
    /// The sandbox: its name, its id, or the beginning of its id
    #[arg(value_name = "SANDBOX")]
    pub sandbox: String,
}

/// Seconds from text such as `90`, `30s`, `10m`, `1h30m` or `2d`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return if seconds > 0 { Ok(seconds) } else { Err("it must be more than 0".to_owned()) };
    }
    let time = units::parse_duration(text).map_err(|bad| bad.to_string())?;
    Ok(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// A word and its value from `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// A volume and its place from `VOLUME:PATH`.
pub(crate) fn mount(text: &str) -> Result<VolumeMount, String> {
    match text.split_once(':') {
        Some((volume, path)) if !volume.is_empty() && path.starts_with('/') => {
            Ok(VolumeMount { volume: volume.to_owned(), path: path.to_owned() })
        }
        _ => Err("write VOLUME:PATH, with an absolute path".to_owned()),
    }
}

/// What happens when the time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExpiry {
    /// It is removed with everything in it
    #[default]
    Kill,
    /// It is paused; processes, memory and files are kept
    Pause,
    /// It is stopped; its files are kept
    Stop,
}

/// Limits.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Limit processor time, in cores, such as 1.5
    #[arg(long, value_name = "CORES", value_parser = units::parse_cpus)]
    pub cpus: Option<f64>,
    /// Limit memory, such as 2GiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub memory: Option<u64>,
    /// Limit what is written to disk, such as 10GiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub disk: Option<u64>,
    /// Limit processes and threads
    #[arg(long, value_name = "COUNT", value_parser = units::parse_count)]
    pub processes: Option<u64>,
}

impl LimitArgs {
    /// As the API takes them.
    pub(crate) fn resources(&self) -> Resources {
        Resources {
            memory: self.memory,
            cpus: self.cpus,
            processes: self.processes,
            disk: self.disk,
        }
    }
}

/// How fast a virtual machine's devices may be.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct RateArgs {
    /// Limit what a virtual machine's disk reads and writes in a second, such as 50MiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub disk_bandwidth: Option<u64>,
    /// Limit how many requests a virtual machine's disk takes in a second
    #[arg(long, value_name = "COUNT", value_parser = units::parse_count)]
    pub disk_iops: Option<u64>,
    /// Limit what a virtual machine sends in a second, and what it receives, such as 10MiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub network_bandwidth: Option<u64>,
}

impl RateArgs {
    /// As the API takes them.
    fn rates(&self) -> Rates {
        Rates {
            disk_bandwidth: self.disk_bandwidth,
            disk_iops: self.disk_iops,
            network_bandwidth: self.network_bandwidth,
        }
    }
}

/// What the network lets through.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// What the network lets through by itself; with --allow alone: allowlist
    #[arg(long, value_name = "MODE")]
    pub network: Option<Network>,
    /// Let this through: example.com:443, *.example.com, 10.0.0.0/8:5432, localhost:5432 for a port
    /// of this machine; with --network open, an exception to --deny (repeatable)
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// Refuse this although the network is open (repeatable)
    #[arg(long, value_name = "RULE")]
    pub deny: Vec<String>,
    /// Give requests headers on their way out; JSON by host: {"api.example.com": {"headers":
    /// {"authorization": "Bearer KEY"}}}, from a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
}

impl NetworkArgs {
    /// The policy; none when nothing was said about it.
    pub(crate) fn policy(&self) -> Result<Option<NetworkPolicy>, Failure> {
        let mode = match (self.network, self.allow.is_empty(), self.deny.is_empty()) {
            (None, true, true) if self.rules.is_none() => return Ok(None),
            (None, true, true) => NetworkMode::Open,
            (None, false, true) => NetworkMode::Allowlist,
            (None, _, false) | (Some(Network::Open), ..) => NetworkMode::Open,
            (Some(Network::None), true, true) => NetworkMode::None,
            (Some(Network::None), ..) => {
                let why = "--network none lets nothing through, so no rule can count";
                return Err(Failure::usage(why));
            }
            (Some(Network::Allowlist), _, true) => NetworkMode::Allowlist,
            (Some(Network::Allowlist), ..) => {
                let why = "--network allowlist refuses all that no --allow names; --deny is for \
                           --network open";
                return Err(Failure::usage(why));
            }
        };
        let (allow, deny) = (self.allow.clone(), self.deny.clone());
        let rules = self.rules.as_deref().map(read_rules).transpose()?.unwrap_or_default();
        Ok(Some(NetworkPolicy { mode, allow, deny, rules }))
    }
}

/// Rules from a file or standard input: a command line, which others see, is no place for keys.
fn read_rules(path: &Path) -> Result<BTreeMap<String, HostRule>, Failure> {
    let text = match path.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let wrong = |why: String| {
        Failure::usage(format!("the rules in {} can't be used: {why}", path.display()))
    };
    // An error of the reader may quote a value, so only its place is told.
    let place = |e: serde_json::Error| {
        format!(
            "JSON by host with \"headers\" is expected (line {}, column {})",
            e.line(),
            e.column()
        )
    };
    serde_json::from_str(&text.map_err(|e| wrong(e.to_string()))?).map_err(|e| wrong(place(e)))
}

/// What a new sandbox is made with.
#[derive(Debug, Default, Args)]
pub(crate) struct CreateOptions {
    /// What it starts from: the template, snapshot or image of this name
    #[arg(index = 1, value_name = "FROM", conflicts_with_all = ["image", "template", "snapshot"])]
    pub from: Option<String>,
    /// Give it a name
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<Name>,
    /// What isolates it; `atelier runtime ls` lists what there is
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Start from an image
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["template", "snapshot"])]
    pub image: Option<String>,
    /// Start from a template
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "snapshot")]
    pub template: Option<String>,
    /// Start from a snapshot
    #[arg(long, value_name = "SNAPSHOT")]
    pub snapshot: Option<String>,
    #[command(flatten)]
    pub variables: VariableArgs,
    /// Keep a word with it, by which `ls` can filter (repeatable)
    #[arg(long, visible_alias = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub metadata: Vec<(String, String)>,
    /// Give it a volume at a path: cache:/var/cache (repeatable)
    #[arg(long, value_name = "VOLUME:PATH", value_parser = mount)]
    pub volume: Vec<VolumeMount>,
    /// How long it lives, such as 30m; for ever when left out
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub timeout: Option<u64>,
    /// What happens when its time is over
    #[arg(long, value_name = "ACTION", default_value = "kill")]
    pub on_expiry: OnExpiry,
    /// Let traffic resume it when it is paused
    #[arg(long)]
    pub auto_resume: bool,
    /// Let everybody reach its ports, without the traffic token
    #[arg(long)]
    pub public: bool,
    /// The user of commands that name none
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The folder where commands start that name none
    #[arg(long, value_name = "FOLDER")]
    pub workdir: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub rates: RateArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
}

impl CreateOptions {
    /// As the API takes them.
    pub(crate) fn options(&self) -> Result<SandboxOptions, Failure> {
        Ok(SandboxOptions {
            name: self.name.clone(),
            runtime: self.runtime.clone(),
            from: self.from.clone(),
            image: self.image.clone(),
            template: self.template.clone(),
            snapshot: self.snapshot.clone(),
            resources: self.limits.resources(),
            rates: self.rates.rates(),
            variables: self.variables.collect()?,
            metadata: self.metadata.iter().cloned().collect::<BTreeMap<_, _>>(),
            timeout: self.timeout,
            on_expiry: match self.on_expiry {
                OnExpiry::Kill => Expiry::Kill,
                OnExpiry::Pause => Expiry::Pause,
                OnExpiry::Stop => Expiry::Stop,
            },
            auto_resume: self.auto_resume,
            network: self.network.policy()?,
            volumes: self.volume.clone(),
            public: self.public,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            request_host: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_bare_seconds() {
        for (text, want) in [("90", 90), ("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)] {
            assert_eq!(seconds(text), Ok(want), "{text}");
        }
        assert_eq!(seconds("1500ms"), Ok(2), "a time is never cut short");
        for bad in ["", "0", "-1", "x", "1.5h"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_volume_has_an_absolute_place() {
        let cache = VolumeMount { volume: "cache".into(), path: "/var/cache".into() };
        assert_eq!(mount("cache:/var/cache"), Ok(cache));
        for bad in ["cache", "cache:", ":/x", "cache:x", ""] {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }

    fn policy(network: Option<Network>, allow: &[&str], deny: &[&str]) -> Result<String, ()> {
        let text = |rules: &[&str]| rules.iter().map(|&rule| rule.to_owned()).collect();
        let args = NetworkArgs { network, allow: text(allow), deny: text(deny), rules: None };
        let policy = args.policy().map_err(|_| ())?;
        Ok(policy.map_or_else(|| "unsaid".to_owned(), |policy| format!("{:?}", policy.mode)))
    }

    #[test]
    fn rules_say_which_mode_is_meant() {
        assert_eq!(policy(None, &[], &[]).unwrap(), "unsaid");
        assert_eq!(policy(None, &["a:1"], &[]).unwrap(), "Allowlist");
        assert_eq!(policy(None, &["a:1"], &["*"]).unwrap(), "Open");
        assert_eq!(policy(Some(Network::None), &[], &[]).unwrap(), "None");
    }

    #[test]
    fn rules_that_cannot_count_are_refused() {
        assert!(policy(Some(Network::None), &["a:1"], &[]).is_err());
        assert!(policy(Some(Network::Allowlist), &[], &["a:1"]).is_err());
    }

    #[test]
    fn what_is_not_given_is_left_to_the_control_plane() {
        let options = CreateOptions::default().options().unwrap();
        let json = serde_json::to_value(options).unwrap();
        let want = serde_json::json!({
            "resources": {}, "on_expiry": "kill", "auto_resume": false, "public": false,
        });
        assert_eq!(json, want);
    }
}
