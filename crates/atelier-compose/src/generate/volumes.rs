//! Named volumes: each environment has its own.

use serde_json::{Map, Value, json};

use super::networks::labels;
use super::paths::Folders;
use crate::plan::{ServicePlan, VolumePlan};
use crate::scope::Scope;

/// Gives every volume that is not external the environment's name.
pub(crate) fn rewrite(
    file: &mut Map<String, Value>,
    scope: &Scope,
    notes: &mut Vec<String>,
) -> Vec<VolumePlan> {
    let Some(Value::Object(volumes)) = file.get_mut("volumes") else { return Vec::new() };
    let folders = Folders::new(scope);
    let mut plans = Vec::new();
    for (key, volume) in volumes {
        if !volume.is_object() {
            *volume = json!({});
        }
        if volume.get("external").and_then(Value::as_bool).unwrap_or(false) {
            plans.push(external(key, volume, notes));
            continue;
        }
        let (name, labels) = (scope.named(key), labels(volume, scope));
        volume["name"] = json!(name);
        if !labels.is_empty() {
            volume["labels"] = json!(labels);
        }
        if let Some(options) = volume.get_mut("driver_opts") {
            outside(key, options, &folders, notes);
        }
        plans.push(VolumePlan { key: key.clone(), name, external: false, labels });
    }
    plans.sort_by(|a, b| a.key.cmp(&b.key));
    plans
}

fn external(key: &str, volume: &Value, notes: &mut Vec<String>) -> VolumePlan {
    let name = volume.get("name").and_then(Value::as_str).unwrap_or(key).to_owned();
    notes.push(format!("volume {key} is the external {name}: all environments share its data"));
    VolumePlan { key: key.to_owned(), name, external: true, labels: Default::default() }
}

/// A volume may be a folder or a far disk by its options.
fn outside(key: &str, options: &mut Value, folders: &Folders, notes: &mut Vec<String>) {
    let before = options.get("device").cloned();
    folders.at(options, "device");
    let Some(device) = options.get("device") else { return };
    let memory = options.get("type").is_some_and(|t| t == "tmpfs");
    if before.as_ref() == Some(device) && !memory {
        let device = device.as_str().unwrap_or_default();
        notes.push(format!("volume {key} is kept at {device}: all environments share its data"));
    }
}

/// Those that a service uses, in the plan and in the file.
pub(crate) fn only_used(
    volumes: Vec<VolumePlan>,
    services: &[ServicePlan],
    file: &mut Map<String, Value>,
) -> Vec<VolumePlan> {
    let (used, unused): (Vec<_>, Vec<_>) =
        volumes.into_iter().partition(|v| services.iter().any(|s| s.volumes.contains(&v.name)));
    if let Some(Value::Object(section)) = file.get_mut("volumes") {
        section.retain(|key, _| !unused.iter().any(|v| v.key == *key));
        if section.is_empty() {
            file.remove("volumes");
        }
    }
    used
}
