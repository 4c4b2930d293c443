//! One service of one file in its canonical form. Every key that is not here is refused.

use serde_json::{Map, Value, json};

use super::at::At;
use super::mounts::{self, Paths};
use super::yaml::{Node, Yaml};
use super::{deploy, kept, nested, ports, units};
use crate::error::Result;

/// What only Compose does; any other key is a mistake.
const KNOWN: [&str; 29] = [
    "annotations",
    "attach",
    "blkio_config",
    "cgroup",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "credential_spec",
    "develop",
    "device_cgroup_rules",
    "devices",
    "extends",
    "external_links",
    "gpus",
    "isolation",
    "label_file",
    "links",
    "mac_address",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "oom_score_adj",
    "post_start",
    "pre_stop",
    "provider",
    "storage_opt",
];
/// The same; newer.
const NEWER: [&str; 5] = ["pre_start", "use_api_socket", "uts", "volumes_from", "volume_driver"];

/// A service's keys, canonical, but for what needs the whole project.
pub(crate) fn read(at: &At<'_>, node: &Node, paths: &Paths<'_>) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    for (key, value) in at.map(node)? {
        let at = at.down(&key.name, key.place);
        if value.value == Yaml::Null {
            return Err(at.unsupported("a key without a value"));
        }
        let new = simple(&at, &key.name, value)
            .or_else(|| listed(&at, &key.name, value))
            .unwrap_or_else(|| structured(&at, &key.name, value, paths))?;
        out.insert(key.name.clone(), new);
    }
    if let (Some(one), Some(other)) =
        (out.get("scale"), out.get("deploy").and_then(|d| d.get("replicas")))
        && one != other
    {
        return Err(at.invalid("`scale` and `deploy.replicas` differ"));
    }
    deploy::once(at, &out)?;
    Ok(out)
}

/// Keys of one scalar.
fn simple(at: &At<'_>, name: &str, value: &Node) -> Option<Result<Value>> {
    Some(match name {
        "image" | "user" | "working_dir" | "hostname" | "stop_signal" | "domainname"
        | "platform" | "userns_mode" | "cgroup_parent" | "runtime" | "cpuset" => {
            match at.text(value) {
                Ok("") => Err(at.unsupported("an empty value")),
                text => text.map(|t| json!(t)),
            }
        }
        "container_name" => at.text(value).and_then(|name| {
            let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            let start = name.starts_with(|c: char| c.is_ascii_alphanumeric());
            if start && name.len() > 1 && name.chars().all(good) {
                Ok(json!(name))
            } else {
                Err(at.invalid("is no name of a container"))
            }
        }),
        "network_mode" => at.text(value).and_then(|mode| match mode {
            "host" | "none" | "bridge" => Ok(json!(mode)),
            _ if mode.starts_with("service:") => Ok(json!(mode)),
            _ => Err(at.unsupported("this network mode")),
        }),
        "restart" => at.text(value).and_then(|text| match text {
            "no" | "always" | "on-failure" | "unless-stopped" => Ok(json!(text)),
            _ if text.strip_prefix("on-failure:").is_some_and(number) => Ok(json!(text)),
            _ => Err(at.unsupported("this restart policy")),
        }),
        "pull_policy" => at.text(value).and_then(|text| match text {
            "always" | "never" | "missing" | "build" => Ok(json!(text)),
            "if_not_present" => Ok(json!("missing")),
            _ => Err(at.unsupported("this policy")),
        }),
        "ipc" | "pid" => at.text(value).and_then(|mode| match mode {
            "host" | "private" | "shareable" | "none" => Ok(json!(mode)),
            _ => Err(at.unsupported("this mode")),
        }),
        "tty" | "stdin_open" | "init" | "read_only" | "privileged" | "oom_kill_disable" => {
            at.truth(value).map(|t| json!(t))
        }
        "scale" => at.count(value).map(|n| json!(n)),
        "pids_limit" | "cpu_shares" => at.count(value).and_then(|n| match n {
            0 => Err(at.unsupported("nothing")),
            n => Ok(json!(n)),
        }),
        "mem_limit" | "shm_size" | "mem_reservation" => size(at, value),
        "cpus" => cpus(at, value),
        "stop_grace_period" => time(at, value),
        _ => return None,
    })
}

/// Keys of lists and mappings of scalars.
fn listed(at: &At<'_>, name: &str, value: &Node) -> Option<Result<Value>> {
    Some(match name {
        "cap_add" | "cap_drop" | "security_opt" | "dns_opt" => at.texts(value).map(|t| json!(t)),
        "group_add" => at.list(value).and_then(|items| {
            let texts: Result<Vec<_>> = items.iter().map(|item| at.scalar(item)).collect();
            Ok(json!(texts?))
        }),
        "profiles" => at.texts(value).and_then(|names| {
            let good = |n: &String| {
                n.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && n.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            };
            if names.iter().all(good) { Ok(json!(names)) } else { Err(at.invalid("is no profile")) }
        }),
        "tmpfs" | "dns" | "dns_search" => match &value.value {
            Yaml::Text(text) => Ok(json!([text])),
            _ => at.texts(value).map(|t| json!(t)),
        },
        "labels" => at.labels(value),
        "sysctls" => at.labels(value),
        "environment" => at.pairs(value).map(|pairs| {
            let pairs = pairs.into_iter().map(|(k, v)| (k, v.map_or(Value::Null, Value::String)));
            Value::Object(pairs.collect())
        }),
        "expose" => expose(at, value),
        "extra_hosts" => hosts(at, value),
        "command" | "entrypoint" => command(at, value),
        _ => return None,
    })
}

/// Keys with a form of their own.
fn structured(at: &At<'_>, name: &str, value: &Node, paths: &Paths<'_>) -> Result<Value> {
    match name {
        "build" => super::build::read(at, value, paths),
        "ports" | "volumes" => {
            let mut all = Vec::new();
            for (index, item) in at.list(value)?.iter().enumerate() {
                let at = at.down(&index.to_string(), item.place);
                if name == "ports" {
                    all.extend(ports::read(&at, item)?);
                } else {
                    all.push(mounts::read(&at, item, paths)?);
                }
            }
            Ok(all.into())
        }
        "env_file" => nested::env_files(at, value, paths),
        "networks" => nested::networks(at, value),
        "depends_on" => nested::depends(at, value),
        "healthcheck" => nested::healthcheck(at, value),
        "ulimits" => nested::ulimits(at, value),
        "deploy" => deploy::read(at, value),
        "logging" => nested::logging(at, value),
        "secrets" | "configs" => kept::used(at, name, value),
        _ if KNOWN.contains(&name) || NEWER.contains(&name) => Err(at.unknown()),
        _ => Err(at.invalid("Compose knows no such key of a service")),
    }
}

pub(crate) fn size(at: &At<'_>, value: &Node) -> Result<Value> {
    let text = at.scalar(value)?;
    let bytes = units::bytes(&text).ok_or_else(|| at.unsupported("a size written like this"))?;
    if bytes == 0 {
        return Err(at.unsupported("a size of nothing"));
    }
    Ok(json!(bytes.to_string()))
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')
}

pub(crate) fn cpus(at: &At<'_>, value: &Node) -> Result<Value> {
    let number: Option<f64> = at.scalar(value)?.parse().ok().filter(|n: &f64| *n > 0.0);
    match number {
        Some(number) if number.fract() == 0.0 => Ok(json!(number as u64)),
        // Compose keeps 32 bits of it; what needs more would come out differently.
        Some(number) if (number * 1000.0).fract() == 0.0 && number < 1000.0 => Ok(json!(number)),
        _ => Err(at.unsupported("a number of processors like this")),
    }
}

pub(crate) fn time(at: &At<'_>, value: &Node) -> Result<Value> {
    let text = at.text(value)?;
    let nanoseconds = units::duration(text).ok_or_else(|| at.invalid("is no duration"))?;
    Ok(json!(units::written(nanoseconds)))
}

pub(crate) fn command(at: &At<'_>, value: &Node) -> Result<Value> {
    match &value.value {
        Yaml::Text(text) => {
            units::words(text).filter(|w| !w.is_empty()).map(|w| json!(w)).ok_or_else(|| {
                at.unsupported("what a shell would understand; write a list, or `sh -c`")
            })
        }
        Yaml::List(items) => {
            let texts: Result<Vec<_>> = items
                .iter()
                .enumerate()
                .map(|(i, n)| at.down(&i.to_string(), n.place).text(n).map(str::to_owned))
                .collect();
            let texts = texts?;
            if texts.is_empty() { Err(at.unsupported("an empty list")) } else { Ok(json!(texts)) }
        }
        _ => Err(at.invalid("must be a string or a list")),
    }
}

fn expose(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut ports = Vec::new();
    for (index, item) in at.list(value)?.iter().enumerate() {
        let at = at.down(&index.to_string(), item.place);
        let port = at.scalar(item)?;
        let number = port.split('/').next().unwrap_or_default();
        if !number.parse::<u16>().is_ok_and(|p| p > 0) || port.contains("/sctp") {
            return Err(at.unsupported("this port"));
        }
        ports.push(port);
    }
    Ok(json!(ports))
}

pub(crate) fn hosts(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut hosts = Vec::new();
    let wrong = || at.unsupported("a host that is not written NAME:ADDRESS");
    let pairs: Vec<(String, String)> = match &value.value {
        Yaml::Map(_) => {
            let pairs = at.pairs(value).map_err(|_| wrong())?.into_iter();
            pairs.map(|(k, v)| v.map(|v| (k, v)).ok_or_else(wrong)).collect::<Result<_>>()?
        }
        _ => {
            let texts = at.texts(value)?;
            let pair = |t: &String| {
                let (host, address) = t.split_once('=').or_else(|| t.split_once(':'))?;
                Some((host.to_owned(), address.to_owned()))
            };
            texts.iter().map(|t| pair(t).ok_or_else(wrong)).collect::<Result<_>>()?
        }
    };
    for (host, address) in pairs {
        if address != "host-gateway" && address.parse::<std::net::Ipv4Addr>().is_err() {
            return Err(wrong());
        }
        hosts.push(format!("{host}={address}"));
    }
    hosts.sort();
    Ok(json!(hosts))
}
