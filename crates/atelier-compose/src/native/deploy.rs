//! Of `deploy` what one engine does as well: how many, and limits.

use serde_json::{Map, Value, json};

use super::at::At;
use super::service::{cpus, size};
use super::yaml::Node;
use crate::error::Result;

pub(crate) fn read(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut out = json!({"resources": {}, "placement": {}});
    for (key, value) in at.map(value)? {
        let at = at.down(&key.name, key.place);
        match key.name.as_str() {
            "replicas" => out["replicas"] = json!(at.count(value)?),
            "resources" => {
                for (key, value) in at.map(value)? {
                    let at = at.down(&key.name, key.place);
                    let allowed: &[&str] = match key.name.as_str() {
                        "limits" => &["cpus", "memory", "pids"],
                        "reservations" => &["memory"],
                        _ => return Err(at.unknown()),
                    };
                    out["resources"][key.name.as_str()] = resources(&at, value, allowed)?.into();
                }
            }
            _ => return Err(at.unknown()),
        }
    }
    Ok(out)
}

fn resources(at: &At<'_>, value: &Node, allowed: &[&str]) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    for (key, value) in at.map(value)? {
        let at = at.down(&key.name, key.place);
        let new = match key.name.as_str() {
            name if !allowed.contains(&name) => return Err(at.unknown()),
            "cpus" => cpus(&at, value)?,
            "memory" => size(&at, value)?,
            _ => json!(at.count(value)?),
        };
        out.insert(key.name.clone(), new);
    }
    if out.is_empty() {
        return Err(at.unsupported("an empty mapping"));
    }
    Ok(out)
}

/// Refuses a limit that is given in both of its places.
pub(crate) fn once(at: &At<'_>, service: &Map<String, Value>) -> Result<()> {
    let Some(resources) = service.get("deploy").and_then(|d| d.get("resources")) else {
        return Ok(());
    };
    for (key, place) in [
        ("mem_limit", "/limits/memory"),
        ("mem_reservation", "/reservations/memory"),
        ("cpus", "/limits/cpus"),
        ("pids_limit", "/limits/pids"),
    ] {
        if service.contains_key(key) && resources.pointer(place).is_some() {
            return Err(at.down(key, at.place).unsupported("also given below `deploy`"));
        }
    }
    Ok(())
}
