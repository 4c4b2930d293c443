//! Secrets and configs: their files are the environment's, their names too.

use serde_json::{Map, Value, json};

use super::paths::Folders;
use crate::scope::Scope;

/// Rewrites both sections. The variables that they are made from are given back.
pub(crate) fn rewrite(
    file: &mut Map<String, Value>,
    scope: &Scope,
    notes: &mut Vec<String>,
) -> Vec<String> {
    let folders = Folders::new(scope);
    let mut variables = std::collections::BTreeSet::new();
    for section in ["secrets", "configs"] {
        let Some(Value::Object(entries)) = file.get_mut(section) else { continue };
        for (key, entry) in entries {
            if !entry.is_object() {
                continue;
            }
            if entry.get("external").and_then(Value::as_bool).unwrap_or(false) {
                let what = section.trim_end_matches('s');
                notes.push(format!("{what} {key} is external: all environments share it"));
                continue;
            }
            folders.at(entry, "file");
            entry["name"] = json!(scope.named(key));
            let variable = entry.get("environment").and_then(Value::as_str);
            variables.extend(variable.map(str::to_owned));
        }
    }
    variables.into_iter().collect()
}
