//! Keys of a service that are mappings of their own: its networks, what it waits for, its health.

use serde_json::{Map, Value, json};

use super::at::At;
use super::mounts::Paths;
use super::service::{command, time};
use super::yaml::{Node, Yaml};
use crate::error::Result;

/// As `[{path, required}]`; they are read when all files are merged.
pub(crate) fn env_files(at: &At<'_>, value: &Node, paths: &Paths<'_>) -> Result<Value> {
    let file = |at: &At<'_>, text: &str| {
        let path = paths.absolute(text).ok_or_else(|| at.unsupported("this path"))?;
        Ok(json!({"path": path, "required": true}))
    };
    if let Yaml::Text(text) = &value.value {
        return Ok(json!([file(at, text)?]));
    }
    let mut files = Vec::new();
    for (index, item) in at.list(value)?.iter().enumerate() {
        let at = at.down(&index.to_string(), item.place);
        if let Yaml::Text(text) = &item.value {
            files.push(file(&at, text)?);
            continue;
        }
        let mut entry = Value::Null;
        let mut required = true;
        for (key, value) in at.map(item)? {
            let at = at.down(&key.name, key.place);
            match key.name.as_str() {
                "path" => entry = file(&at, at.text(value)?)?,
                "required" => required = at.truth(value)?,
                _ => return Err(at.unknown()),
            }
        }
        if entry.is_null() {
            return Err(at.unsupported("a file without `path`"));
        }
        entry["required"] = json!(required);
        files.push(entry);
    }
    Ok(files.into())
}

pub(crate) fn networks(at: &At<'_>, value: &Node) -> Result<Value> {
    if let Yaml::List(_) = &value.value {
        let names = at.texts(value)?.into_iter();
        return Ok(names.map(|n| (n, Value::Null)).collect::<Map<_, _>>().into());
    }
    let mut out = Map::new();
    for (key, value) in at.names(value)? {
        let at = at.down(&key.name, key.place);
        if value.value == Yaml::Null {
            out.insert(key.name.clone(), Value::Null);
            continue;
        }
        let mut network = Map::new();
        for (key, value) in at.map(value)? {
            let at = at.down(&key.name, key.place);
            let new = match key.name.as_str() {
                "aliases" => json!(at.texts(value)?),
                "ipv4_address" | "ipv6_address" => json!(at.text(value)?),
                _ => return Err(at.unknown()),
            };
            network.insert(key.name.clone(), new);
        }
        if network.is_empty() {
            return Err(at.unsupported("an empty mapping"));
        }
        out.insert(key.name.clone(), network.into());
    }
    Ok(out.into())
}

pub(crate) fn depends(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut out = Map::new();
    let entry = |condition: &str| json!({"condition": condition, "required": true});
    if let Yaml::List(_) = &value.value {
        let names = at.texts(value)?.into_iter();
        out.extend(names.map(|n| (n, entry("service_started"))));
        return Ok(out.into());
    }
    for (key, value) in at.names(value)? {
        let at = at.down(&key.name, key.place);
        let mut new = json!({"required": true});
        for (key, value) in at.map(value)? {
            let at = at.down(&key.name, key.place);
            new[key.name.as_str()] = match key.name.as_str() {
                "condition" => match at.text(value)? {
                    known @ ("service_started"
                    | "service_healthy"
                    | "service_completed_successfully") => json!(known),
                    _ => return Err(at.invalid("is no condition")),
                },
                "required" => json!(at.truth(value)?),
                "restart" if at.truth(value)? => json!(true),
                _ => return Err(at.unknown()),
            };
        }
        if new.get("condition").is_none() {
            return Err(at.invalid("`condition` is missing"));
        }
        out.insert(key.name.clone(), new);
    }
    Ok(out.into())
}

pub(crate) fn healthcheck(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut out = Map::new();
    for (key, value) in at.map(value)? {
        let at = at.down(&key.name, key.place);
        let new = match key.name.as_str() {
            "test" => match &value.value {
                Yaml::Text(text) if !text.is_empty() => json!(["CMD-SHELL", text]),
                _ => {
                    let Value::Array(test) = command(&at, value)? else { return Err(at.unknown()) };
                    let first = test.first().and_then(Value::as_str).unwrap_or_default();
                    if !matches!((first, test.len()), ("NONE", 1) | ("CMD", 2..) | ("CMD-SHELL", 2))
                    {
                        return Err(
                            at.unsupported("a test that does not start with CMD or CMD-SHELL")
                        );
                    }
                    test.into()
                }
            },
            "interval" | "timeout" | "start_period" | "start_interval" => time(&at, value)?,
            "retries" => json!(at.count(value)?),
            _ => return Err(at.unknown()),
        };
        out.insert(key.name.clone(), new);
    }
    if out.is_empty() {
        return Err(at.unsupported("an empty mapping"));
    }
    Ok(out.into())
}

pub(crate) fn ulimits(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut out = Map::new();
    for (key, value) in at.map(value)? {
        let at = at.down(&key.name, key.place);
        let new = if let Yaml::Int(limit) = value.value {
            json!(limit)
        } else {
            let mut limits = Map::new();
            for (key, value) in at.map(value)? {
                let at = at.down(&key.name, key.place);
                match (key.name.as_str(), &value.value) {
                    ("soft" | "hard", Yaml::Int(limit)) => {
                        limits.insert(key.name.clone(), json!(limit));
                    }
                    _ => return Err(at.unknown()),
                }
            }
            if limits.len() != 2 {
                return Err(at.invalid("needs `soft` and `hard`"));
            }
            limits.into()
        };
        out.insert(key.name.clone(), new);
    }
    Ok(out.into())
}

pub(crate) fn logging(at: &At<'_>, value: &Node) -> Result<Value> {
    let mut out = Map::new();
    for (key, value) in at.map(value)? {
        let at = at.down(&key.name, key.place);
        let new = match key.name.as_str() {
            "driver" => json!(at.text(value)?),
            "options" => at.labels(value)?,
            _ => return Err(at.unknown()),
        };
        out.insert(key.name.clone(), new);
    }
    if !out.contains_key("driver") {
        return Err(at.unsupported("options without `driver`"));
    }
    Ok(out.into())
}
