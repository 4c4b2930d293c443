//! The headers that repeat what a message says (since revision 2026-07-28), so that those between need not
//! read it: `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::message::Message;

/// For each tool: the arguments that its schema wants as headers, by their paths.
#[derive(Default)]
pub(super) struct Promoted(HashMap<String, Vec<(Vec<String>, String)>>);

impl Promoted {
    /// Reads a server's answer to `tools/list`.
    pub(super) fn learn(&mut self, answer: &Value) {
        let tools = answer.pointer("/result/tools").and_then(Value::as_array);
        for tool in tools.into_iter().flatten() {
            let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
            let mut found = Vec::new();
            if let Some(schema) = tool.get("inputSchema") {
                walk(schema, &mut Vec::new(), &mut found);
            }
            self.0.insert(name.to_owned(), found);
        }
    }

    /// The headers of a message.
    pub(super) fn headers(&self, message: &Message) -> HeaderMap {
        let mut map = HeaderMap::new();
        let Some(method) = message.method() else { return map };
        put(&mut map, "mcp-method", method);
        let Some(params) = message.params() else { return map };
        let name = name_key(method).and_then(|key| params.get(key)?.as_str());
        if let Some(name) = name {
            put(&mut map, "mcp-name", name);
        }
        let wanted = match (method, name) {
            ("tools/call", Some(name)) => self.0.get(name),
            _ => None,
        };
        for (path, header) in wanted.into_iter().flatten() {
            let found = path.iter().try_fold(params.get("arguments"), |at, key| Some(at?.get(key)));
            if let Some(value) = found.flatten().and_then(plain) {
                put(&mut map, &format!("mcp-param-{header}"), &value);
            }
        }
        map
    }
}

/// What of a message's parameters is its name.
fn name_key(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
            found.push((path.clone(), header.to_owned()));
        }
        walk(property, path, found);
        path.pop();
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Puts a header; what no header can carry goes as Base64 between marks.
fn put(map: &mut HeaderMap, name: &str, value: &str) {
    let edge = |c: Option<char>| matches!(c, Some(' ' | '\t'));
    let marked = value.starts_with("=?base64?") && value.ends_with("?=");
    let odd = value.chars().any(|c| !(' '..='~').contains(&c));
    let bare = !(marked || odd || edge(value.chars().next()) || edge(value.chars().next_back()));
    let value = match bare {
        true => value.to_owned(),
        false => format!("=?base64?{}?=", BASE64_STANDARD.encode(value)),
    };
    if let (Ok(name), Ok(value)) =
        (HeaderName::try_from(name.to_ascii_lowercase()), HeaderValue::try_from(value))
    {
        map.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_go_into_headers_as_the_schema_wants() {
        let mut promoted = Promoted::default();
        let region = json!({"type": "string", "x-mcp-header": "Region"});
        let inner = json!({"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}});
        let schema = json!({"properties": {"region": region, "inner": inner, "other": {}}});
        promoted.learn(&json!({"result": {"tools": [{"name": "q", "inputSchema": schema}]}}));
        let arguments = json!({"region": "Zürich", "inner": {"n": 7}, "other": "x"});
        let call = json!({"id": 1, "method": "tools/call",
            "params": {"name": "q", "arguments": arguments}});
        let message = Message { text: String::new(), value: call };
        let map = promoted.headers(&message);
        let of = |name: &str| map.get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(of("mcp-method").as_deref(), Some("tools/call"));
        assert_eq!(of("mcp-name").as_deref(), Some("q"));
        assert_eq!(of("mcp-param-region").as_deref(), Some("=?base64?WsO8cmljaA==?="));
        assert_eq!(of("mcp-param-n").as_deref(), Some("7"));
        assert_eq!(map.len(), 4);
    }
}
