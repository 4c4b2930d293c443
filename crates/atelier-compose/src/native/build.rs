//! How a service's image is built: what an engine's own builder does as well.

use serde_json::{Map, Value, json};

use super::at::At;
use super::mounts::Paths;
use super::service::{hosts, size};
use super::yaml::{Node, Yaml};
use crate::error::Result;

pub(crate) fn read(at: &At<'_>, value: &Node, paths: &Paths<'_>) -> Result<Value> {
    let mut out = Map::new();
    if let Yaml::Text(text) = &value.value {
        out.insert("context".to_owned(), json!(context(at, text, paths)?));
    } else {
        for (key, value) in at.map(value)? {
            let at = at.down(&key.name, key.place);
            out.insert(key.name.clone(), one(&at, &key.name, value, paths)?);
        }
    }
    // What is false says nothing.
    out.retain(|_, value| *value != Value::Bool(false));
    if !out.contains_key("context") {
        out.insert("context".to_owned(), json!(context(at, ".", paths)?));
    }
    match (out.contains_key("dockerfile"), out.contains_key("dockerfile_inline")) {
        (true, true) => Err(at.invalid("`dockerfile` and `dockerfile_inline` exclude each other")),
        (false, false) => {
            out.insert("dockerfile".to_owned(), json!("Dockerfile"));
            Ok(out.into())
        }
        _ => Ok(out.into()),
    }
}

fn one(at: &At<'_>, name: &str, value: &Node, paths: &Paths<'_>) -> Result<Value> {
    Ok(match name {
        "context" => json!(context(at, at.text(value)?, paths)?),
        "dockerfile" | "target" | "dockerfile_inline" | "network" => match at.text(value)? {
            "" => return Err(at.unsupported("an empty value")),
            text => json!(text),
        },
        "args" => {
            let pairs = at.pairs(value)?;
            if pairs.iter().any(|(_, v)| v.is_none()) {
                return Err(at.unsupported("an argument without a value"));
            }
            pairs.into_iter().map(|(k, v)| (k, json!(v))).collect::<Map<_, _>>().into()
        }
        "labels" => at.labels(value)?,
        "no_cache" | "pull" => json!(at.truth(value)?),
        "extra_hosts" => hosts(at, value)?,
        "shm_size" => size(at, value)?,
        _ => return Err(at.unknown()),
    })
}

fn context(at: &At<'_>, text: &str, paths: &Paths<'_>) -> Result<String> {
    let far = text.contains("://") || text.starts_with("git@") || text.starts_with("github.com");
    let path = if far || text.is_empty() { None } else { paths.absolute(text) };
    path.ok_or_else(|| at.unsupported("a build context that is no folder"))
}
