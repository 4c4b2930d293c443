//! One file's canonical services laid over another's, by Compose's rules.

use serde_json::{Map, Value};

/// What replaces as a whole, though it is a list.
const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

/// Lays `over` over `under`.
pub(crate) fn lay(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, new) in over {
        match (under.get_mut(&key), new) {
            (Some(Value::Object(old)), Value::Object(new)) => lay(old, new),
            (Some(Value::Array(old)), Value::Array(new)) if !WHOLE.contains(&key.as_str()) => {
                append(&key, old, new);
            }
            (_, new) => drop(under.insert(key, new)),
        }
    }
}

/// Lists grow; of ports and volumes that mean the same, the later one stays.
fn append(key: &str, old: &mut Vec<Value>, new: Vec<Value>) {
    for item in new {
        let id = identity(key, &item);
        match old.iter_mut().find(|o| identity(key, o) == id) {
            Some(place) => *place = item,
            None => old.push(item),
        }
    }
}

fn identity(key: &str, item: &Value) -> Value {
    let of = |keys: &[&str]| keys.iter().map(|k| item[*k].clone()).collect();
    match key {
        "volumes" => of(&["target"]),
        "ports" => of(&["host_ip", "published", "target", "protocol"]),
        _ => item.clone(),
    }
}
