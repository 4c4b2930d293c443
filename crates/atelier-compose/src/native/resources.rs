//! Top-level networks and volumes of one file.

use serde_json::{Map, Value, json};

use super::at::At;
use super::yaml::{Node, Yaml};
use crate::error::Result;

/// The entries of `networks:` or `volumes:`, without their names on the engine.
pub(crate) fn read(at: &At<'_>, node: &Node, network: bool) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    if node.value == Yaml::Null {
        return Err(at.unsupported("a key without a value"));
    }
    for (key, value) in at.names(node)? {
        let at = at.down(&key.name, key.place);
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if key.name.is_empty() || !key.name.chars().all(good) {
            return Err(at.invalid("is no name"));
        }
        out.insert(key.name.clone(), entry(&at, value, network)?.into());
    }
    Ok(out)
}

fn entry(at: &At<'_>, node: &Node, network: bool) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    if node.value == Yaml::Null {
        return Ok(out);
    }
    for (key, value) in at.map(node)? {
        let at = at.down(&key.name, key.place);
        let new = match key.name.as_str() {
            "name" | "driver" if !at.text(value)?.is_empty() => json!(at.text(value)?),
            "external" if matches!(value.value, Yaml::Bool(true)) => json!(true),
            "external" if matches!(value.value, Yaml::Bool(false)) => continue,
            "internal" if network && at.truth(value)? => json!(true),
            "internal" if network => continue,
            "labels" => at.labels(value)?,
            "driver_opts" => {
                let pairs = at.pairs(value)?;
                if pairs.iter().any(|(k, v)| k == "device" && v.as_deref().is_some_and(relative)) {
                    return Err(at.unsupported("a device that is a path of the project"));
                }
                let text = |v: Option<String>| json!(v.unwrap_or_default());
                pairs.into_iter().map(|(k, v)| (k, text(v))).collect::<Map<_, _>>().into()
            }
            _ => return Err(at.unknown()),
        };
        out.insert(key.name.clone(), new);
    }
    let external = out.contains_key("external");
    if external && out.keys().any(|k| !["external", "name"].contains(&k.as_str())) {
        return Err(at.unsupported("`external` with other keys"));
    }
    Ok(out)
}

fn relative(path: &str) -> bool {
    path.starts_with(['.', '~'])
}
