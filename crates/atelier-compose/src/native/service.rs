//! One service of one file in its canonical form. Every key that is not here is refused.

use serde_json::{Map, Value, json};

use super::at::At;
use super::mounts::{self, Paths};
use super::yaml::{Node, Yaml};
use super::{nested, ports, units};
use crate::error::Result;

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
    Ok(out)
}

/// Keys of one scalar.
fn simple(at: &At<'_>, name: &str, value: &Node) -> Option<Result<Value>> {
    Some(match name {
        "image" | "user" | "working_dir" | "hostname" | "stop_signal" => match at.text(value) {
            Ok("") => Err(at.unsupported("an empty value")),
            text => text.map(|t| json!(t)),
        },
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
            _ => Err(at.unsupported("this restart policy")),
        }),
        "tty" | "stdin_open" | "init" | "read_only" | "privileged" => {
            at.truth(value).map(|t| json!(t))
        }
        "scale" => at.count(value).map(|n| json!(n)),
        "mem_limit" | "shm_size" => size(at, value),
        "cpus" => cpus(at, value),
        "stop_grace_period" => time(at, value),
        _ => return None,
    })
}

/// Keys of lists and mappings of scalars.
fn listed(at: &At<'_>, name: &str, value: &Node) -> Option<Result<Value>> {
    Some(match name {
        "cap_add" | "cap_drop" | "security_opt" => at.texts(value).map(|t| json!(t)),
        "profiles" => at.texts(value).and_then(|names| {
            let good = |n: &String| {
                n.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && n.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            };
            if names.iter().all(good) { Ok(json!(names)) } else { Err(at.invalid("is no profile")) }
        }),
        "tmpfs" => match &value.value {
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
        "build" => build(at, value, paths),
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
        "deploy" => nested::deploy(at, value),
        _ => Err(at.unknown()),
    }
}

fn size(at: &At<'_>, value: &Node) -> Result<Value> {
    let text = at.scalar(value)?;
    let bytes = units::bytes(&text).ok_or_else(|| at.unsupported("a size written like this"))?;
    if bytes == 0 {
        return Err(at.unsupported("a size of nothing"));
    }
    Ok(json!(bytes.to_string()))
}

fn cpus(at: &At<'_>, value: &Node) -> Result<Value> {
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
    let written = units::written(nanoseconds);
    Ok(json!(written.ok_or_else(|| at.unsupported("a fraction of a second"))?))
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

fn hosts(at: &At<'_>, value: &Node) -> Result<Value> {
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

fn build(at: &At<'_>, value: &Node, paths: &Paths<'_>) -> Result<Value> {
    let mut out = Map::new();
    out.insert("dockerfile".to_owned(), json!("Dockerfile"));
    let context = |at: &At<'_>, text: &str| {
        let far =
            text.contains("://") || text.starts_with("git@") || text.starts_with("github.com");
        let path = if far || text.is_empty() { None } else { paths.absolute(text) };
        path.ok_or_else(|| at.unsupported("a build context that is no folder"))
    };
    if let Yaml::Text(text) = &value.value {
        out.insert("context".to_owned(), json!(context(at, text)?));
        return Ok(out.into());
    }
    for (key, value) in at.map(value)? {
        let at = at.down(&key.name, key.place);
        let new = match key.name.as_str() {
            "context" => json!(context(&at, at.text(value)?)?),
            "dockerfile" | "target" => json!(at.text(value)?),
            "args" => {
                let pairs = at.pairs(value)?;
                if pairs.iter().any(|(_, v)| v.is_none()) {
                    return Err(at.unsupported("an argument without a value"));
                }
                pairs.into_iter().map(|(k, v)| (k, json!(v))).collect::<Map<_, _>>().into()
            }
            _ => return Err(at.unknown()),
        };
        out.insert(key.name.clone(), new);
    }
    if !out.contains_key("context") {
        out.insert("context".to_owned(), json!(context(at, ".")?));
    }
    Ok(out.into())
}
