//! One service: what it is for the environment, and its rewritten definition.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::labels::{self, label};
use super::networks::Networks;
use super::paths::Folders;
use super::{map_in, ports};
use crate::error::Result;
use crate::plan::{ServicePlan, VolumePlan};
use crate::scope::Scope;

/// How many containers a service has.
pub(crate) fn replicas(service: &Value) -> u32 {
    let deploy = service.get("deploy").and_then(|d| d.get("replicas"));
    let count = service.get("scale").or(deploy).and_then(Value::as_u64).unwrap_or(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What stands in the definition; the addresses are filled in by the caller.
pub(crate) fn plan(
    name: &str,
    service: &Value,
    scope: &Scope,
    volumes: &[VolumePlan],
) -> Result<ServicePlan> {
    let ports = ports::of(service);
    let mode = service.get("network_mode").and_then(Value::as_str).unwrap_or_default();
    let depends = service.get("depends_on").and_then(Value::as_object);
    Ok(ServicePlan {
        name: name.to_owned(),
        addresses: Vec::new(),
        via: mode.strip_prefix("service:").map(str::to_owned),
        web: ports::web(name, service, &ports)?,
        ports,
        ingress: false,
        hostnames: labels::hostnames(name, service, scope)?,
        share: labels::truthy(service, &["atelier.share", "cilo.share"]),
        replicas: replicas(service),
        health: checks_health(service),
        build: service.get("build").is_some_and(|b| !b.is_null()),
        depends_on: depends.map(|d| d.keys().cloned().collect()).unwrap_or_default(),
        volumes: used(service, volumes),
        dump: label(service, &["atelier.dump"]).filter(|c| !c.trim().is_empty()),
        restore: label(service, &["atelier.restore"]).filter(|c| !c.trim().is_empty()),
    })
}

fn checks_health(service: &Value) -> bool {
    let Some(check) = service.get("healthcheck").filter(|c| c.is_object()) else { return false };
    let off = check.get("disable").and_then(Value::as_bool).unwrap_or(false);
    let none = check.get("test").and_then(|t| t.get(0)).is_some_and(|t| t == "NONE");
    !off && !none && check.get("test").is_some()
}

fn used(service: &Value, volumes: &[VolumePlan]) -> Vec<String> {
    let mounts = service.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let keys = mounts.filter(|m| m["type"] == "volume").filter_map(|m| m.get("source")?.as_str());
    let mut names: Vec<String> = keys
        .filter_map(|key| volumes.iter().find(|v| v.key == key).map(|v| v.name.clone()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Rewrites a definition whose shared parts and addresses are settled.
pub(crate) fn rewrite(
    name: &str,
    service: &mut Value,
    scope: &Scope,
    networks: &Networks,
    notes: &mut Vec<String>,
) {
    ports::unpublish(service, scope.publish);
    Folders::new(scope).service(service);
    name_image(name, service, scope, notes);
    let on_ours = service
        .get("networks")
        .and_then(Value::as_object)
        .is_some_and(|n| n.keys().any(|key| networks.own(key).is_some()));
    if let Some(map) = service.as_object_mut() {
        if map.remove("container_name").is_some() {
            notes.push(format!(
                "service {name} names its container: here the engine's name is free"
            ));
        }
        add_labels(map, scope);
        if on_ours {
            add_hosts(map, scope);
        }
    }
    reaches_out(name, service, scope, notes);
}

fn add_labels(service: &mut Map<String, Value>, scope: &Scope) {
    let mut labels = texts_of(service.remove("labels"));
    labels.extend(scope.labels.iter().map(|(k, v)| (k.clone(), json!(v))));
    if !labels.is_empty() {
        service.insert("labels".to_owned(), labels.into());
    }
}

/// A mapping, also when it is given as a list of `key=value`.
fn texts_of(given: Option<Value>) -> Map<String, Value> {
    match given {
        Some(Value::Object(map)) => map,
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect(),
        _ => Map::new(),
    }
}

fn add_hosts(service: &mut Map<String, Value>, scope: &Scope) {
    if scope.hosts.is_empty() {
        return;
    }
    let mut hosts: Vec<Value> = match service.remove("extra_hosts") {
        Some(Value::Array(hosts)) => hosts,
        Some(Value::Object(hosts)) => hosts
            .iter()
            .map(|(host, address)| {
                json!(format!("{host}={}", address.as_str().unwrap_or_default()))
            })
            .collect(),
        _ => Vec::new(),
    };
    hosts.extend(scope.hosts.iter().map(|(host, address)| json!(format!("{host}={address}"))));
    service.insert("extra_hosts".to_owned(), hosts.into());
}

/// An image that is built here has a name of its own, so that no other build replaces it, and is
/// never looked for in a registry.
fn name_image(name: &str, service: &mut Value, scope: &Scope, notes: &mut Vec<String>) {
    if !service.get("build").is_some_and(Value::is_object) {
        return;
    }
    if let Some(build) = service.get_mut("build") {
        if let Some(map) = map_in(build, "labels") {
            map.extend(scope.labels.iter().map(|(k, v)| (k.clone(), json!(v))));
        }
        let tags = build.as_object_mut().and_then(|b| b.remove("tags"));
        if tags.is_some_and(|t| t.as_array().is_some_and(|t| !t.is_empty())) {
            notes.push(format!("service {name} tags its image: here it has the environment's tag"));
        }
    }
    let Some(map) = service.as_object_mut() else { return };
    map.insert("image".to_owned(), image_name(&scope.name, name).into());
    if map.get("pull_policy").is_some_and(|p| p != "build") {
        map.remove("pull_policy");
    }
}

/// A repository's name allows less than a service's: lower case, and no separators in a row.
fn image_name(scope: &str, service: &str) -> String {
    let plain = format!("atelier-{scope}-{service}");
    let mut name = String::with_capacity(plain.len());
    for c in plain.to_lowercase().chars() {
        let c = if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' };
        let separates = !c.is_ascii_alphanumeric();
        if !(separates && name.ends_with(|l: char| !l.is_ascii_alphanumeric())) {
            name.push(c);
        }
    }
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    if name == plain {
        return name;
    }
    let hash = Sha256::digest(plain.as_bytes());
    let hex: String = hash.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("{name}-{hex}")
}

/// Notes what a service reaches that all environments have in common.
fn reaches_out(name: &str, service: &Value, scope: &Scope, notes: &mut Vec<String>) {
    let text = |key: &str| service.get(key).and_then(Value::as_str).unwrap_or_default();
    for key in ["network_mode", "pid", "ipc", "uts"] {
        let mode = text(key);
        if key == "network_mode" && mode == "host" {
            notes.push(format!(
                "service {name} uses the host's network: its ports are the same in all environments"
            ));
        } else if mode.starts_with("container:") {
            notes.push(format!("service {name} joins {mode}, which is of no environment"));
        }
    }
    let list = |key: &str| service.get(key).and_then(Value::as_array).into_iter().flatten();
    if list("external_links").next().is_some() {
        notes.push(format!("service {name} links to containers outside of the project"));
    }
    for mount in list("volumes").filter(|m| m["type"] == "bind" && m["read_only"] != true) {
        let source = mount.get("source").and_then(Value::as_str).unwrap_or_default();
        if !std::path::Path::new(source).starts_with(&scope.tree)
            || scope.tree.as_os_str().is_empty()
        {
            notes.push(format!(
                "service {name} can write to {source}, which all environments share"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::image_name;

    #[test]
    fn an_image_has_a_name_that_a_registry_would_take_and_no_two_are_the_same() {
        assert_eq!(image_name("shop-a1", "web"), "atelier-shop-a1-web");
        let odd = ["A.b__C", "a.b-c", "a.b_c", "a.b_c_", "a.b_-c"].map(|s| image_name("x--y", s));
        for (at, name) in odd.iter().enumerate() {
            assert!(!odd[..at].contains(name), "{name}");
            let parts: Vec<_> = name.split(['.', '_', '-']).collect();
            assert!(parts.iter().all(|p| !p.is_empty()), "{name}");
        }
    }
}
