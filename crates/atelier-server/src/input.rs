//! Puts an operation's input together from where HTTP carries it: the path, the query, the body.

use std::cell::LazyCell;
use std::collections::HashMap;

use atelier_api::{ExitCode, Operation, Problem};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value};

/// The input, or what is wrong with it (`request.invalid`).
pub(crate) fn assemble<O: Operation>(
    path: HashMap<String, String>,
    query: Vec<(String, String)>,
    body: &[u8],
) -> Result<O::Input, Problem> {
    let fields = fields(O::NAME, || schema_for!(O::Input), path, query, body)?;
    serde_json::from_value(Value::Object(fields))
        .map_err(|e| bad(format!("the input of {} is not valid: {e}", O::NAME)))
}

fn bad(detail: String) -> Problem {
    Problem::new("request.invalid", ExitCode::Usage, detail)
}

/// All that came, in one object.
fn fields(
    operation: &str,
    schema: fn() -> Schema,
    path: HashMap<String, String>,
    query: Vec<(String, String)>,
    body: &[u8],
) -> Result<Map<String, Value>, Problem> {
    let mut fields = match body {
        [] => Map::new(),
        bytes => serde_json::from_slice(bytes).map_err(|e| {
            bad(format!("the body is not the JSON object that {operation} takes: {e}"))
        })?,
    };
    // What travels in the path is not the body's to say.
    fields.retain(|name, _| !path.contains_key(name));
    // Making the schema takes longer than most calls, so it is made for texts only.
    let schema = LazyCell::new(schema);
    for (name, text) in query.into_iter().filter(|(name, _)| !path.contains_key(name)) {
        add(&mut fields, schema.as_value(), name, text);
    }
    for (name, text) in path {
        add(&mut fields, schema.as_value(), name, text);
    }
    Ok(fields)
}

/// Adds one query parameter as the type that the schema gives it; a name that comes again makes a
/// list.
fn add(fields: &mut Map<String, Value>, schema: &Value, name: String, text: String) {
    let declared = &schema["properties"][&name]["type"];
    let is = |kind: &str| {
        declared == kind || declared.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
    };
    let number = |text: &str| serde_json::from_str(text).ok().filter(Value::is_number);
    let value = match text.as_str() {
        "true" if is("boolean") => Value::Bool(true),
        "false" if is("boolean") => Value::Bool(false),
        _ if is("integer") || is("number") => number(&text).unwrap_or(Value::String(text)),
        _ => Value::String(text),
    };
    match fields.get_mut(&name) {
        Some(Value::Array(list)) => list.push(value),
        _ => {
            let value = if is("array") { Value::Array(vec![value]) } else { value };
            fields.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::env::{EnvDiff, EnvLogs};

    use super::*;

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn query_text_becomes_the_declared_types() {
        let path = HashMap::from([pair("env", "fix")]);
        let query = vec![pair("project", "/p/1"), pair("all", "true")];
        let input = assemble::<EnvDiff>(path.clone(), query, b"").unwrap();
        assert!(input.all && !input.stat);
        let query = vec![pair("project", "42"), pair("last", "3")];
        let input = assemble::<EnvLogs>(path, query, b"").unwrap();
        assert_eq!((input.last, input.project.encode().as_str()), (Some(3), "42"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let problem = assemble::<EnvDiff>(HashMap::new(), vec![], b"").unwrap_err();
        assert!(problem.detail.contains("missing field"), "{}", problem.detail);
        let path = HashMap::from([pair("env", "Not A Name")]);
        let problem = assemble::<EnvDiff>(path, vec![pair("project", "/")], b"").unwrap_err();
        assert!(problem.detail.contains("Not A Name"), "{}", problem.detail);
        assert_eq!(problem.status, 400);
    }
}
