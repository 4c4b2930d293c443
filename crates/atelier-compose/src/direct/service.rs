//! A service's definition and the forms that its values have. Which keys there are stands here.

use serde_json::{Map, Value};

use super::unsupported;
use crate::error::{ComposeError, Result};
use crate::native::units;

/// What is carried out.
const KNOWN: &[&str] = &[
    "annotations",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "cpu_period",
    "cpu_quota",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "logging",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "pull_policy",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
];
/// What has been done by now, or says nothing to an engine.
const SILENT: &[&str] = &["attach", "container_name", "develop", "env_file", "profiles"];
/// Keys that may say that a namespace is another service's.
const NAMESPACES: [&str; 4] = ["network_mode", "ipc", "pid", "uts"];

/// A name with its value, if it has one.
pub(super) type Pair = (String, Option<String>);

/// One service, or a mapping inside of it.
pub(super) struct Service<'a> {
    pub name: &'a str,
    /// The path of its keys, with the dot at the end.
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Service<'a> {
    /// # Errors
    /// `Unsupported` for a key that is not carried out.
    pub(super) fn new(name: &'a str, definition: &'a Value) -> Result<Self> {
        let Some(map) = definition.as_object() else {
            return Err(ComposeError::invalid(format!("services.{name}: must be a mapping")));
        };
        let service = Self { name, path: format!("services.{name}."), map };
        for (key, value) in map {
            let empty = match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            let known = KNOWN.contains(&key.as_str()) || SILENT.contains(&key.as_str());
            if !known && !empty && !key.starts_with("x-") {
                return Err(service.refuse(key, "only Compose knows it"));
            }
        }
        Ok(service)
    }

    /// A mapping of it, with nothing but these keys.
    pub(super) fn below(&self, key: &str, known: &[&str]) -> Result<Option<Self>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(map) = value.as_object() else { return Err(self.refuse(key, "it is no mapping")) };
        self.only(key, value, known)?;
        Ok(Some(Self { name: self.name, path: format!("{}{key}.", self.path), map }))
    }

    /// A refusal that names the key.
    pub(super) fn refuse(&self, key: &str, why: &str) -> ComposeError {
        unsupported(format!("{}{key}", self.path), why)
    }

    /// The same for what stands below a key.
    pub(super) fn only(&self, key: &str, value: &Value, known: &[&str]) -> Result<()> {
        for (below, value) in value.as_object().into_iter().flatten() {
            let empty = value.is_null()
                || value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if !known.contains(&below.as_str()) && !empty && !below.starts_with("x-") {
                return Err(self.refuse(&format!("{key}.{below}"), "only Compose knows it"));
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(key, "it is no text")),
        }
    }

    pub(super) fn owned(&self, key: &str) -> Result<Option<String>> {
        Ok(self.text(key)?.map(str::to_owned))
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// A whole number, also one that is written as a text.
    pub(super) fn number(&self, key: &str) -> Result<Option<i64>> {
        self.get(key).map(|value| self.number_of(key, value)).transpose()
    }

    pub(super) fn number_of(&self, key: &str, value: &Value) -> Result<i64> {
        let text = value.as_str().and_then(|t| t.trim().parse().ok());
        value.as_i64().or(text).ok_or_else(|| self.refuse(key, "it is no whole number"))
    }

    /// A size, in bytes.
    pub(super) fn size(&self, key: &str, value: &Value) -> Result<i64> {
        let text = value.as_str().and_then(units::bytes).and_then(|b| i64::try_from(b).ok());
        // -1 stands for no limit.
        let plain = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        plain.or(text).ok_or_else(|| self.refuse(key, "it is no size"))
    }

    /// A duration, in nanoseconds.
    pub(super) fn time(&self, key: &str, value: &Value) -> Result<i64> {
        let read = value.as_str().and_then(units::duration);
        let read = read.and_then(|nanoseconds| i64::try_from(nanoseconds).ok());
        read.ok_or_else(|| self.refuse(key, "it is no duration"))
    }

    /// A list of texts, also when there is one that is no list.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        self.get(key).map(|value| self.texts_of(key, value)).transpose()
    }

    pub(super) fn texts_of(&self, key: &str, value: &Value) -> Result<Vec<String>> {
        match value {
            Value::Array(items) => {
                let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
                texts.ok_or_else(|| self.refuse(key, "it is no list of texts"))
            }
            Value::String(text) => Ok(vec![text.clone()]),
            _ => Err(self.refuse(key, "it is no list")),
        }
    }

    /// A mapping of texts, also as a list of `name=value`.
    pub(super) fn pairs(&self, key: &str) -> Result<Option<Vec<Pair>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let Value::Object(map) = value {
            return Ok(Some(map.iter().map(|(k, v)| (k.clone(), scalar(v))).collect()));
        }
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        Ok(Some(self.texts_of(key, value)?.into_iter().map(pair).collect()))
    }

    /// The same with the empty text for a name alone.
    pub(super) fn map(
        &self,
        key: &str,
    ) -> Result<Option<std::collections::HashMap<String, String>>> {
        let pairs = self.pairs(key)?;
        Ok(pairs.map(|p| p.into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect()))
    }

    /// Services whose namespaces or volumes it uses.
    pub(super) fn inside(&self) -> Vec<String> {
        let modes = NAMESPACES.iter().filter_map(|key| self.get(key)?.as_str());
        let mut names: Vec<String> =
            modes.filter_map(|m| m.strip_prefix("service:")).map(str::to_owned).collect();
        let from = self.get("volumes_from").and_then(Value::as_array).into_iter().flatten();
        let from = from.filter_map(Value::as_str).filter(|f| !f.starts_with("container:"));
        names.extend(from.map(|f| f.split(':').next().unwrap_or_default().to_owned()));
        names.sort();
        names.dedup();
        names
    }
}

/// A scalar as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}
