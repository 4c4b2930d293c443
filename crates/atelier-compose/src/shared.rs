//! One service for many environments, as a project of its own.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::{ComposeError, Result};
use crate::generate::{Folders, generate};
use crate::model::Model;
use crate::plan::SharedFile;
use crate::scope::Scope;

/// Keys of a service that say nothing about what it is: where it is reached, and for whom.
const NOT_ITS_OWN: [&str; 7] =
    ["container_name", "depends_on", "expose", "links", "networks", "ports", "profiles"];

/// The file of one shared service, with what it needs. `scope` is the shared instance's own: its
/// name must be the same for all environments, so that its volumes are; `scope.shared` lists the
/// shared services, this one included or not.
///
/// # Errors
/// `NoService`; `Unsupported` when the service needs one that is not shared; as [`generate`].
pub fn shared_file(model: &Model, service: &str, scope: &Scope) -> Result<SharedFile> {
    let mut one = model.service(service)?.clone();
    needs(service, &one, scope)?;
    let hash = hash(model, &one, scope);
    if let Some(map) = one.as_object_mut() {
        for key in ["depends_on", "links", "profiles"] {
            map.remove(key);
        }
        if map.contains_key("networks") {
            map.insert("networks".to_owned(), json!({"default": null}));
        }
    }
    let mut project = Map::new();
    project.insert("services".to_owned(), json!({service: one}));
    for section in ["volumes", "secrets", "configs"] {
        let used = used(model, section, &project["services"][service]);
        if !used.is_empty() {
            project.insert(section.to_owned(), used.into());
        }
    }
    let mut own = scope.clone();
    own.shared.clear();
    let generated = generate(&Model(project.into()), &own)?;
    Ok(SharedFile { generated, hash })
}

/// Refuses a service that cannot live without an unshared one.
fn needs(name: &str, service: &Value, scope: &Scope) -> Result<()> {
    let refuse = |key: &str, other: &str| {
        let why = format!("service {name} is shared, and {other} is not: share both, or neither");
        Err(ComposeError::impossible(format!("services.{name}.{key}"), why))
    };
    let depends = service.get("depends_on").and_then(Value::as_object).into_iter().flatten();
    for (other, how) in depends {
        let required = how.get("required").and_then(Value::as_bool).unwrap_or(true);
        if required && !scope.shared.contains(other) {
            return refuse("depends_on", other);
        }
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let mode = service.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(other) = mode.strip_prefix("service:") {
            return refuse(key, other);
        }
    }
    let from = service.get("volumes_from").and_then(|v| v.get(0)).and_then(Value::as_str);
    from.map_or(Ok(()), |other| refuse("volumes_from", other))
}

/// The entries of a section that the service names.
fn used(model: &Model, section: &str, service: &Value) -> Map<String, Value> {
    let mentions = service.get(section).and_then(Value::as_array).into_iter().flatten();
    let build = service.get("build").and_then(|b| b.get(section)).and_then(Value::as_array);
    let sources: Vec<&str> = mentions
        .chain(build.into_iter().flatten())
        .filter_map(|m| m.get("source").and_then(Value::as_str).or_else(|| m.as_str()))
        .collect();
    let entries = model.section(section).iter();
    entries
        .filter(|(key, _)| sources.contains(&key.as_str()))
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect()
}

/// Of what makes two instances differ. Paths count from the project's folder, wherever it is, and
/// names that Compose makes of the project's name don't count.
fn hash(model: &Model, service: &Value, scope: &Scope) -> String {
    let mut definition = service.clone();
    if let Some(map) = definition.as_object_mut() {
        map.retain(|key, _| !NOT_ITS_OWN.contains(&key.as_str()));
    }
    let mut all = Map::new();
    for section in ["volumes", "secrets", "configs"] {
        let mut used = used(model, section, service);
        for entry in used.values_mut().filter_map(Value::as_object_mut) {
            if entry.get("external") != Some(&Value::Bool(true)) {
                entry.remove("name");
            }
        }
        all.insert(section.to_owned(), used.into());
    }
    all.insert("service".to_owned(), definition);
    let mut text = String::new();
    write(&Value::Object(all), scope, &mut text);
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// JSON with sorted keys, and with paths inside of the project as such.
fn write(value: &Value, scope: &Scope, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&format!("{key:?}:"));
                write(&map[key], scope, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, scope, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::String(text) => out.push_str(&format!("{:?}", relative(text, scope))),
        other => out.push_str(&other.to_string()),
    }
}

fn relative(text: &str, scope: &Scope) -> String {
    let mapped = Folders::new(scope).mapped(text);
    let path = std::path::Path::new(mapped.as_deref().unwrap_or(text));
    if scope.tree.as_os_str().is_empty() || !path.is_absolute() {
        return text.to_owned();
    }
    match path.strip_prefix(&scope.tree) {
        Ok(rest) => format!("\u{0}{}", rest.display()),
        Err(_) => text.to_owned(),
    }
}
