//! Beside ATK itself (`tests/atk`): the same plugins are accepted, and mean the same.
//!
//! The plugins are those of the public registry, each as it is and with mistakes put into it: every
//! key left out, of another type, misspelled. Where the two differ on purpose, `DIFFERENCES` says why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use atelier_plugin::{Plugin, Slug};
use serde_json::{Map, Value, json};

/// Where the two differ on purpose: how the mutation's name ends, whether it is we who accept it, and
/// why.
const DIFFERENCES: [(&str, bool, &str); 5] = [
    (
        "=null",
        true,
        "a key without a value is as if it were left out; ATK says so of some keys alone",
    ),
    (
        "schema_version=2099-01-01",
        false,
        "ATK looks at the shape of the date; we know no such schema",
    ),
    ("compose_file=../x", false, "a Compose file outside of the plugin's folder"),
    ("compose_file=\"\"", false, "no file at all"),
    ("/port=true", false, "to ATK `true` is port 1"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Python that has ATK.
fn python() -> PathBuf {
    let python = std::env::var_os("ATELIER_TEST_ATK");
    let hint = "scripts/test installs ATK from PyPI (tests/atk/requirements.txt) and sets ATELIER_TEST_ATK";
    PathBuf::from(python.unwrap_or_else(|| panic!("ATK is not here: {hint}")))
}

/// What ATK makes of every folder of one.
fn oracle(folder: &Path) -> BTreeMap<String, Value> {
    let script = root().join("tests/atk/oracle.py");
    let done = Command::new(python()).arg(script).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The registry's plugins as JSON, which is YAML.
fn plugins() -> Vec<(String, Value)> {
    let folder = root().join("../shared/data/atk-registry/plugins");
    let mut plugins: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let text = fs::read_to_string(entry.path().join("plugin.yaml")).unwrap();
            let plugin = serde_saphyr::from_str(&text).unwrap();
            (entry.file_name().into_string().unwrap(), plugin)
        })
        .collect();
    plugins.sort_by(|a, b| a.0.cmp(&b.0));
    plugins
}

/// Every way to a key of a document.
fn keys(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (format!("{at}/{k}"), v)).collect(),
        Value::Array(list) => {
            list.iter().take(1).enumerate().map(|(n, v)| (format!("{at}/{n}"), v)).collect()
        }
        _ => Vec::new(),
    };
    for (path, child) in children {
        keys(child, &path, found);
        found.push(path);
    }
}

fn parent_of<'v>(document: &'v mut Value, path: &str) -> (&'v mut Value, String) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    (document.pointer_mut(parent).unwrap(), key.to_owned())
}

/// A document without a key, with it misspelled, and with each of a few values in its place.
fn mutants(document: &Value) -> Vec<(String, Value)> {
    let mut paths = Vec::new();
    keys(document, "", &mut paths);
    let values = [json!(null), json!(7), json!(""), json!([]), json!({}), json!([1]), json!(true)];
    let mut mutants = Vec::new();
    for path in paths {
        for value in &values {
            let mut mutant = document.clone();
            *mutant.pointer_mut(&path).unwrap() = value.clone();
            mutants.push((format!("{path}={value}"), mutant));
        }
        let mut mutant = document.clone();
        if let (Value::Object(map), key) = parent_of(&mut mutant, &path) {
            let value = map.remove(&key).unwrap();
            mutants.push((format!("{path} left out"), mutant.clone()));
            let (parent, _) = parent_of(&mut mutant, &path);
            parent.as_object_mut().unwrap().insert(format!("{key}x"), value);
            mutants.push((format!("{path} misspelled"), mutant));
        }
    }
    for (key, value) in [("schema_version", json!("2099-01-01")), ("name", json!("x"))] {
        let mut mutant = document.clone();
        mutant[key] = value.clone();
        mutants.push((format!("{key}={}", value.as_str().unwrap()), mutant));
    }
    if document.pointer("/service/compose_file").is_some() {
        let mut mutant = document.clone();
        mutant["service"]["compose_file"] = json!("../x");
        mutants.push(("compose_file=../x".to_owned(), mutant));
    }
    mutants
}

fn write(folder: &Path, name: &str, document: &Value) {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("plugin.yaml"), document.to_string()).unwrap();
}

/// Our reading in ATK's words: the fields that both have, defaults said.
fn in_words_of_atk(plugin: &Plugin) -> Value {
    let mut ours = serde_json::to_value(plugin).unwrap();
    let map = ours.as_object_mut().unwrap();
    map.remove("health");
    if let Some(service) = map.get_mut("service").and_then(Value::as_object_mut) {
        service.remove("restart");
    }
    without_nothing(ours)
}

/// A value without what says nothing: nulls, and collections that are empty.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(k, v)| (k, without_nothing(v)));
            Value::Object(kept.filter(|(_, v)| !says_nothing(v)).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nothing).collect()),
        other => other,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[test]
fn the_registrys_plugins_mean_what_they_mean_to_atk() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = plugins();
    assert_eq!(plugins.len(), 20);
    for (name, document) in &plugins {
        write(folder.path(), name, document);
    }
    let theirs = oracle(folder.path());
    for (name, _) in &plugins {
        let plugin = Plugin::load(&folder.path().join(name)).unwrap();
        let verdict = &theirs[name];
        assert_eq!(verdict["ok"], true, "{name}: {verdict}");
        assert_eq!(verdict["slug"], Slug::of_name(&plugin.name).unwrap().as_str(), "{name}");
        assert_eq!(in_words_of_atk(&plugin), without_nothing(verdict["plugin"].clone()), "{name}");
    }
}

#[test]
fn plugins_with_mistakes_are_refused_where_atk_refuses_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = BTreeMap::new();
    for (name, document) in plugins() {
        for (n, (mutation, mutant)) in mutants(&document).into_iter().enumerate() {
            write(folder.path(), &format!("{name}-{n}"), &mutant);
            names.insert(format!("{name}-{n}"), mutation);
        }
    }
    assert!(names.len() > 2000, "{}", names.len());
    let theirs = oracle(folder.path());
    let mut differ = Vec::new();
    for (name, mutation) in &names {
        let ours = Plugin::load(&folder.path().join(name));
        let differs = ours.is_ok() != (theirs[name]["ok"] == true);
        let expected = |(end, accepted, _): &(&str, bool, &str)| {
            mutation.ends_with(end) && *accepted == ours.is_ok()
        };
        if differs && !DIFFERENCES.iter().any(expected) {
            let said = ours.map_or_else(|e| e.to_string(), |_| "accepted".to_owned());
            differ.push(format!("{name} ({mutation}): ours {said}; ATK {}", theirs[name]));
        }
    }
    assert!(differ.is_empty(), "{} of {}:\n{}", differ.len(), names.len(), differ.join("\n"));
}
