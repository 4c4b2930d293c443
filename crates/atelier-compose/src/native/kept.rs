//! Secrets and configs: at the top of a file, and as a service uses them.

use serde_json::{Map, Value, json};

use super::at::At;
use super::mounts::Paths;
use super::yaml::{Node, Yaml};
use crate::error::Result;

/// The entries of `secrets:` or `configs:`, without their names on the engine.
pub(crate) fn read(at: &At<'_>, node: &Node, paths: &Paths<'_>) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    for (key, value) in at.names(node)? {
        let at = at.down(&key.name, key.place);
        let mut entry = Map::new();
        for (key, value) in at.map(value)? {
            let at = at.down(&key.name, key.place);
            if !["file", "environment", "content", "name"].contains(&key.name.as_str()) {
                return Err(at.unknown());
            }
            let text = at.text(value)?;
            let new = match key.name.as_str() {
                "file" => json!(paths.absolute(text).ok_or_else(|| at.unsupported("this path"))?),
                _ if text.is_empty() => return Err(at.unsupported("an empty value")),
                _ => json!(text),
            };
            entry.insert(key.name.clone(), new);
        }
        let from = ["file", "environment", "content"].iter().filter(|k| entry.contains_key(**k));
        if from.count() != 1 {
            return Err(at.unsupported("anything but one of `file`, `environment`, `content`"));
        }
        if entry.contains_key("content") && at.key.starts_with("secrets") {
            return Err(at.unsupported("a secret with `content`"));
        }
        out.insert(key.name.clone(), entry.into());
    }
    Ok(out)
}

/// What a service uses of them.
pub(crate) fn used(at: &At<'_>, section: &str, node: &Node) -> Result<Value> {
    let mut out = Vec::new();
    for (index, item) in at.list(node)?.iter().enumerate() {
        let at = at.down(&index.to_string(), item.place);
        let mut entry = Map::new();
        if let Yaml::Text(source) = &item.value {
            entry.insert("source".to_owned(), json!(source));
        } else {
            for (key, value) in at.map(item)? {
                let at = at.down(&key.name, key.place);
                entry.insert(key.name.clone(), one(&at, &key.name, value)?);
            }
        }
        let Some(source) = entry.get("source").and_then(Value::as_str).map(str::to_owned) else {
            return Err(at.invalid("`source` is missing"));
        };
        if section == "secrets" && !entry.contains_key("target") {
            entry.insert("target".to_owned(), json!(format!("/run/secrets/{source}")));
        }
        out.push(entry.into());
    }
    Ok(Value::Array(out))
}

fn one(at: &At<'_>, name: &str, value: &Node) -> Result<Value> {
    match (name, &value.value) {
        ("source" | "target" | "uid" | "gid", _) => match at.text(value)? {
            "" => Err(at.unsupported("an empty value")),
            text => Ok(json!(text)),
        },
        ("mode", Yaml::Int(mode)) if (0..=0o7777).contains(mode) => Ok(json!(format!("0{mode:o}"))),
        ("mode", _) => Err(at.unsupported("a mode that is no number")),
        _ => Err(at.unknown()),
    }
}
