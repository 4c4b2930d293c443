//! What needs the whole project: references, environments from files, names on the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::dotenv;
use crate::error::{ComposeError, Result};

/// A merged project on its way to its canonical form.
#[derive(Default)]
pub(crate) struct Draft {
    pub name: String,
    pub services: Map<String, Value>,
    pub networks: Map<String, Value>,
    pub volumes: Map<String, Value>,
    pub secrets: Map<String, Value>,
    pub configs: Map<String, Value>,
    pub variables: BTreeMap<String, String>,
}

impl Draft {
    /// The canonical form.
    ///
    /// # Errors
    /// `Invalid` for what Compose finds inconsistent.
    pub(crate) fn finish(mut self, profiles: &[String]) -> Result<Value> {
        self.services.retain(|_, service| active(service, profiles));
        let names: BTreeSet<String> = self.services.keys().cloned().collect();
        for (name, service) in &mut self.services {
            environment(service, &self.variables)?;
            complete(name, service)?;
            refers(name, service, &names)?;
        }
        one_container(&self.services)?;
        cycles(&self.services)?;
        let networks = self.used_networks()?;
        let volumes = self.used_volumes()?;
        let mut out = Map::new();
        out.insert("name".to_owned(), json!(self.name));
        let secrets = self.used_files("secrets", &self.secrets)?;
        let configs = self.used_files("configs", &self.configs)?;
        for (section, entries) in [
            ("networks", networks),
            ("volumes", volumes),
            ("secrets", secrets),
            ("configs", configs),
        ] {
            if !entries.is_empty() {
                out.insert(section.to_owned(), entries.into());
            }
        }
        out.insert("services".to_owned(), self.services.into());
        Ok(out.into())
    }

    fn used_networks(&self) -> Result<Map<String, Value>> {
        let mut used = BTreeSet::new();
        for (name, service) in &self.services {
            for (key, _) in service.get("networks").and_then(Value::as_object).into_iter().flatten()
            {
                if key != "default" && !self.networks.contains_key(key) {
                    return Err(undefined(name, "network", key));
                }
                used.insert(key.clone());
            }
        }
        Ok(used
            .into_iter()
            .map(|key| {
                let given = self.networks.get(&key).cloned().unwrap_or_else(|| json!({}));
                let mut network = named(&self.name, &key, given);
                network["ipam"] = json!({});
                (key, network)
            })
            .collect())
    }

    fn used_volumes(&self) -> Result<Map<String, Value>> {
        let mut used = Map::new();
        for (name, service) in &self.services {
            for mount in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
                let Some(key) = mount.get("source").and_then(Value::as_str) else { continue };
                if mount["type"] != "volume" {
                    continue;
                }
                let given = self.volumes.get(key).ok_or_else(|| undefined(name, "volume", key))?;
                used.insert(key.to_owned(), named(&self.name, key, given.clone()));
            }
        }
        Ok(used)
    }
}

impl Draft {
    /// Secrets or configs that a service uses.
    fn used_files(&self, section: &str, all: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut used = Map::new();
        for (name, service) in &self.services {
            for entry in service.get(section).and_then(Value::as_array).into_iter().flatten() {
                let Some(key) = entry.get("source").and_then(Value::as_str) else { continue };
                let what = section.trim_end_matches('s');
                let given = all.get(key).ok_or_else(|| undefined(name, what, key))?;
                used.insert(key.to_owned(), named(&self.name, key, given.clone()));
            }
        }
        Ok(used)
    }
}

fn named(project: &str, key: &str, mut entry: Value) -> Value {
    if entry.get("name").is_none() {
        let external = entry.get("external").is_some();
        entry["name"] = if external { json!(key) } else { json!(format!("{project}_{key}")) };
    }
    entry
}

fn undefined(service: &str, what: &str, key: &str) -> ComposeError {
    ComposeError::invalid(format!("service {service:?} refers to undefined {what} {key}"))
}

fn active(service: &Value, profiles: &[String]) -> bool {
    let own = service.get("profiles").and_then(Value::as_array).filter(|p| !p.is_empty());
    own.is_none_or(|own| {
        profiles.iter().any(|p| p == "*" || own.iter().any(|o| o.as_str() == Some(p)))
    })
}

/// The service's variables: of its files, then its own, then what the project's says of names alone.
fn environment(service: &mut Value, variables: &BTreeMap<String, String>) -> Result<()> {
    let Some(map) = service.as_object_mut() else { return Ok(()) };
    let files = map.remove("env_file");
    let mut known = BTreeMap::new();
    for file in files.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let path = Path::new(file["path"].as_str().unwrap_or_default());
        if path.is_file() || file["required"] == true {
            dotenv::read(path, &mut known, &|name| variables.get(name).cloned())?;
        }
    }
    let mut all: Map<String, Value> = known.into_iter().map(|(k, v)| (k, json!(v))).collect();
    if let Some(Value::Object(own)) = map.remove("environment") {
        for (name, value) in own {
            let value = if value.is_null() {
                variables.get(&name).map_or(Value::Null, |v| json!(v))
            } else {
                value
            };
            all.insert(name, value);
        }
    }
    if !all.is_empty() {
        map.insert("environment".to_owned(), all.into());
    }
    Ok(())
}

/// What Compose adds, and what it leaves out because it says nothing.
fn complete(name: &str, service: &mut Value) -> Result<()> {
    let Some(map) = service.as_object_mut() else { return Ok(()) };
    let wrong = |why: &str| Err(ComposeError::invalid(format!("service {name:?} {why}")));
    if !map.contains_key("image") && !map.contains_key("build") {
        return wrong("has neither an image nor a build context specified");
    }
    if map.contains_key("network_mode") && map.contains_key("networks") {
        return wrong("declares mutually exclusive `network_mode` and `networks`");
    }
    for key in ["command", "entrypoint"] {
        map.entry(key).or_insert(Value::Null);
    }
    if !map.contains_key("network_mode") {
        let networks = map.entry("networks").or_insert_with(|| json!({}));
        if networks.as_object().is_some_and(Map::is_empty) {
            *networks = json!({"default": null});
        }
    }
    for key in ["tty", "stdin_open", "read_only", "privileged"] {
        if map.get(key) == Some(&Value::Bool(false)) {
            map.remove(key);
        }
    }
    let empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    map.retain(|_, value| !empty(value));
    // A service that lives in another's network starts behind it.
    let mode = map.get("network_mode").and_then(Value::as_str).unwrap_or_default();
    if let Some(other) = mode.strip_prefix("service:").map(str::to_owned) {
        let depends = map.entry("depends_on").or_insert_with(|| json!({}));
        if depends.get(&other).is_none() {
            depends[other.as_str()] =
                json!({"condition": "service_started", "restart": true, "required": true});
        }
    }
    Ok(())
}

fn refers(name: &str, service: &Value, names: &BTreeSet<String>) -> Result<()> {
    for (other, how) in service.get("depends_on").and_then(Value::as_object).into_iter().flatten() {
        if !names.contains(other) && how["required"] == true {
            let why = format!("service {name:?} depends on undefined service {other:?}");
            return Err(ComposeError::invalid(why));
        }
        if !names.contains(other) {
            return Err(ComposeError::impossible(
                format!("services.{name}.depends_on.{other}"),
                "the service is not there, though it need not be",
            ));
        }
    }
    Ok(())
}

/// Refuses a container's name that more than one container would have.
fn one_container(services: &Map<String, Value>) -> Result<()> {
    let mut names = BTreeSet::new();
    for (service, definition) in services {
        let Some(name) = definition.get("container_name").and_then(Value::as_str) else { continue };
        let several = crate::generate::replicas(definition) > 1;
        if several || !names.insert(name) {
            let why = format!("service {service:?}: the container name {name:?} must be unique");
            return Err(ComposeError::invalid(why));
        }
    }
    Ok(())
}

/// Refuses services that wait for one another.
fn cycles(services: &Map<String, Value>) -> Result<()> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    loop {
        let ready = |service: &Value| {
            let waits = service.get("depends_on").and_then(Value::as_object).into_iter().flatten();
            waits.into_iter().all(|(other, _)| done.contains(other.as_str()))
        };
        let next: Vec<&str> = services
            .iter()
            .filter(|(name, service)| !done.contains(name.as_str()) && ready(service))
            .map(|(name, _)| name.as_str())
            .collect();
        if next.is_empty() {
            break;
        }
        done.extend(next);
    }
    match services.keys().find(|name| !done.contains(name.as_str())) {
        Some(name) => Err(ComposeError::invalid(format!(
            "dependency cycle detected: service {name:?} waits for itself through others"
        ))),
        None => Ok(()),
    }
}
