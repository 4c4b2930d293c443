//! Services that another instance provides, left out of the environment's own file.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::networks::Networks;
use crate::error::{ComposeError, Result};
use crate::model::Model;
use crate::plan::SharedUse;
use crate::scope::Scope;

/// How each shared service was known to the others.
pub(crate) fn uses(model: &Model, scope: &Scope, networks: &Networks) -> Vec<SharedUse> {
    let services = model.section("services");
    let here = services.iter().filter(|(name, _)| scope.shared.contains(*name));
    let mut uses: Vec<SharedUse> = here
        .map(|(name, service)| SharedUse {
            name: name.clone(),
            networks: on(service, networks),
            aliases: aliases(name, service, services),
            healthy: waited(name, services, scope, "service_healthy"),
            completed: waited(name, services, scope, "service_completed_successfully"),
        })
        .collect();
    uses.sort_by(|a, b| a.name.cmp(&b.name));
    uses
}

fn on(service: &Value, networks: &Networks) -> Vec<String> {
    let keys = service.get("networks").and_then(Value::as_object).into_iter().flatten();
    let mut names: Vec<String> =
        keys.filter_map(|(key, _)| networks.own(key).map(|n| n.name.clone())).collect();
    names.sort();
    names
}

fn aliases(name: &str, service: &Value, services: &Map<String, Value>) -> Vec<String> {
    let mut names = BTreeSet::new();
    for network in service.get("networks").and_then(Value::as_object).into_iter().flatten() {
        names.extend(texts(network.1, "aliases"));
    }
    for other in services.values() {
        let links = texts(other, "links");
        names.extend(links.iter().filter_map(|link| {
            let (target, alias) = link.split_once(':')?;
            (target == name).then(|| alias.to_owned())
        }));
    }
    names.remove(name);
    std::iter::once(name.to_owned()).chain(names).collect()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn waited(name: &str, services: &Map<String, Value>, scope: &Scope, condition: &str) -> bool {
    services
        .iter()
        .filter(|(other, _)| !scope.shared.contains(*other))
        .filter_map(|(_, service)| service.get("depends_on")?.get(name)?.get("condition"))
        .any(|c| c == condition)
}

/// Takes the shared services out of a service's definition.
///
/// # Errors
/// `Unsupported` when it lives inside of one.
pub(crate) fn leave_out(name: &str, service: &mut Value, scope: &Scope) -> Result<()> {
    let shared = |other: &str| scope.shared.contains(other);
    let inside = |key: &str, other: &str| {
        ComposeError::impossible(
            format!("services.{name}.{key}"),
            format!(
                "it is a part of service {other}, which is shared: share {name} too, or neither"
            ),
        )
    };
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let mode = service.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(other) = mode.strip_prefix("service:").filter(|o| shared(o)) {
            return Err(inside(key, other));
        }
    }
    for from in texts(service, "volumes_from") {
        let other = from.split(':').next().unwrap_or_default();
        if shared(other) {
            return Err(inside("volumes_from", other));
        }
    }
    let Some(map) = service.as_object_mut() else { return Ok(()) };
    if let Some(Value::Object(depends)) = map.get_mut("depends_on") {
        depends.retain(|other, _| !shared(other));
    }
    if let Some(Value::Array(links)) = map.get_mut("links") {
        let target = |l: &Value| l.as_str().and_then(|l| l.split(':').next().map(str::to_owned));
        links.retain(|link| !target(link).is_some_and(|t| shared(&t)));
    }
    for key in ["depends_on", "links"] {
        let empty = match map.get(key) {
            Some(Value::Object(m)) => m.is_empty(),
            Some(Value::Array(l)) => l.is_empty(),
            _ => false,
        };
        if empty {
            map.remove(key);
        }
    }
    Ok(())
}
