//! What a project asks of the machine that it runs on, beyond containers, networks and volumes of its own:
//! its files elsewhere, its devices, its namespaces, powers over it. What somebody else may have written is
//! compared by this with what the user wrote.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::model::Model;

/// Keys of a service whose value alone matters.
const POWERS: [&str; 12] = [
    "cap_add",
    "devices",
    "device_cgroup_rules",
    "security_opt",
    "gpus",
    "runtime",
    "cgroup_parent",
    "credential_spec",
    "use_api_socket",
    "provider",
    "volumes_from",
    "external_links",
];
/// Namespaces that may be those of the machine, or of somebody else's container.
const NAMESPACES: [&str; 6] = ["network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup"];

/// What a model asks for, a phrase each. `own` is the project's folder: what lies in it is its own, also
/// when a symlink says so, and not when one leads elsewhere.
#[must_use]
pub fn asks(model: &Model, own: &Path) -> BTreeSet<String> {
    let own = own.canonicalize().unwrap_or_else(|_| own.to_owned());
    let mut found = BTreeSet::new();
    for (name, service) in model.section("services") {
        let phrases = of_service(service, &own);
        found.extend(phrases.into_iter().map(|what| format!("the service {name}: {what}")));
    }
    for (section, word) in [("secrets", "the secret"), ("configs", "the config")] {
        for (name, one) in model.section(section) {
            let file = one["file"].as_str().and_then(|file| elsewhere(file, &own));
            found.extend(file.map(|file| format!("{word} {name}: the file {}", file.display())));
        }
    }
    for (section, word) in [("volumes", "the volume"), ("networks", "the network")] {
        for (name, one) in model.section(section) {
            found.extend(of_resource(one).into_iter().map(|what| format!("{word} {name}: {what}")));
        }
    }
    found
}

fn of_service(service: &Value, own: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if service["privileged"] == true {
        found.push("privileged".to_owned());
    }
    for key in POWERS {
        found.extend(each(&service[key]).map(|value| format!("{key} {}", text(value))));
    }
    for key in NAMESPACES {
        let value = service[key].as_str().unwrap_or_default();
        if value == "host" || value.starts_with("container:") {
            found.push(format!("{key} {value}"));
        }
    }
    let devices = &service["deploy"]["resources"]["reservations"]["devices"];
    found.extend(each(devices).map(|value| format!("devices {}", text(value))));
    for mount in each(&service["volumes"]).filter(|mount| mount["type"] == "bind") {
        let source = mount["source"].as_str().and_then(|source| elsewhere(source, own));
        found.extend(source.map(|source| format!("the path {}", source.display())));
    }
    found.extend(of_build(&service["build"], own));
    found
}

fn of_build(build: &Value, own: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let contexts = each(&build["context"]).chain(each(&build["additional_contexts"]));
    for context in contexts.filter_map(Value::as_str) {
        // Another service's image, an image, a repository: nothing of this machine.
        if context.contains("://") || context.starts_with("git@") || context.starts_with("service:")
        {
            continue;
        }
        let path = elsewhere(context, own);
        found.extend(path.map(|path| format!("build from {}", path.display())));
    }
    for key in ["ssh", "entitlements", "privileged"] {
        found.extend(
            each(&build[key])
                .filter(|value| **value != false)
                .map(|value| format!("build with {key} {}", text(value))),
        );
    }
    if build["network"] == "host" {
        found.push("build with network host".to_owned());
    }
    found
}

/// A volume or a network: one that is not the project's own, or that is made of something else.
fn of_resource(resource: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if resource["external"] == true {
        found.push(format!("external {}", text(&resource["name"])));
    }
    if let Some(driver) =
        resource["driver"].as_str().filter(|d| !["local", "bridge", ""].contains(d))
    {
        found.push(format!("driver {driver}"));
    }
    let options = resource["driver_opts"].as_object().into_iter().flatten();
    found.extend(options.map(|(key, value)| format!("driver_opts {key}={}", text(value))));
    found
}

/// The items of a list, the values of a map, or the one value; none of nothing.
fn each(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Null => Box::new(std::iter::empty()),
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        one => Box::new(std::iter::once(one)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Where a path leads, when that is not in the project.
fn elsewhere(path: &str, own: &Path) -> Option<PathBuf> {
    let place = resolved(Path::new(path));
    (!place.starts_with(own)).then_some(place)
}

/// A path without symlinks as far as it is there, and without `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut place = path;
    loop {
        if let Ok(found) = place.canonicalize() {
            return rest.iter().rev().fold(found, |found, part| lexical(&found, part));
        }
        let (Some(parent), Some(last)) = (place.parent(), place.components().next_back()) else {
            return path.to_owned();
        };
        rest.push(last);
        place = parent;
    }
}

fn lexical(place: &Path, part: &Component<'_>) -> PathBuf {
    match part {
        Component::ParentDir => place.parent().unwrap_or(place).to_owned(),
        Component::CurDir => place.to_owned(),
        part => place.join(part),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_project_of_its_own_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path();
        let model = Model(json!({
            "services": { "web": {
                "image": "x",
                "build": { "context": own, "additional_contexts": { "base": "service:db" } },
                "network_mode": "service:db",
                "volumes": [
                    { "type": "bind", "source": own.join("src"), "target": "/src" },
                    { "type": "volume", "source": "data", "target": "/data" },
                ],
            } },
            "volumes": { "data": { "name": "p_data" } },
            "networks": { "default": { "name": "p_default", "driver": "bridge" } },
            "secrets": { "key": { "file": own.join("key") } },
        }));
        assert_eq!(asks(&model, own), BTreeSet::new());
    }

    #[test]
    fn what_reaches_further_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path();
        symlink("/etc", own.join("link")).unwrap();
        let model = Model(json!({
            "services": { "web": {
                "privileged": true,
                "cap_add": ["SYS_ADMIN"],
                "pid": "host",
                "volumes": [
                    { "type": "bind", "source": "/var/run/docker.sock", "target": "/s" },
                    { "type": "bind", "source": own.join("link/ssh"), "target": "/k" },
                    { "type": "bind", "source": own.join("src/../../up"), "target": "/u" },
                ],
                "build": { "context": "/", "ssh": ["default"] },
            } },
            "volumes": { "data": { "driver_opts": { "device": "/", "o": "bind", "type": "none" } } },
            "secrets": { "key": { "file": "/srv/keys/deploy" } },
        }));
        let found: Vec<String> = asks(&model, own).into_iter().collect();
        let up = own.canonicalize().unwrap().parent().unwrap().join("up");
        let socket = Path::new("/var/run/docker.sock");
        let socket = resolved(socket);
        for phrase in [
            "the service web: privileged".to_owned(),
            "the service web: cap_add SYS_ADMIN".into(),
            "the service web: pid host".into(),
            format!("the service web: the path {}", socket.display()),
            "the service web: the path /etc/ssh".into(),
            format!("the service web: the path {}", up.display()),
            "the service web: build from /".into(),
            "the service web: build with ssh default".into(),
            "the volume data: driver_opts device=/".into(),
            "the secret key: the file /srv/keys/deploy".into(),
        ] {
            assert!(found.contains(&phrase), "{phrase} is not in {found:#?}");
        }
        assert_eq!(found.len(), 12, "{found:#?}");
    }
}
