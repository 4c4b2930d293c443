//! An operation's input as a request: its path, query and body.

use std::fmt::Write as _;

use atelier_api::{API_ROOT, Method, Operation};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::ClientError;

/// Path with query, and body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub method: Method,
    pub target: String,
    pub body: Option<Bytes>,
}

/// The request that an operation's input makes.
pub(crate) fn request<O: Operation>(input: &O::Input) -> Result<Request, ClientError> {
    let value = serde_json::to_value(input).map_err(|e| ClientError::Protocol(e.to_string()))?;
    of(O::METHOD, O::PATH, value)
}

fn of(method: Method, path: &str, input: Value) -> Result<Request, ClientError> {
    let mut fields = match input {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return Err(ClientError::Protocol(format!("the input of {path} is no object"))),
    };
    let mut target = API_ROOT.to_owned();
    fill(&mut target, path, &mut fields)?;
    if method.uses_query() {
        query(&mut target, &fields);
        return Ok(Request { method, target, body: None });
    }
    let body = Value::Object(fields).to_string();
    Ok(Request { method, target, body: Some(body.into()) })
}

/// What an operation's answer says.
pub(crate) fn output<O: Operation>(body: &[u8]) -> Result<O::Output, ClientError> {
    // An operation without output may answer 204 with no body at all.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|e| ClientError::Protocol(format!("the output of {}: {e}", O::NAME)))
}

/// Writes the path, with the fields that it names taken out of the input.
fn fill(
    target: &mut String,
    path: &str,
    fields: &mut Map<String, Value>,
) -> Result<(), ClientError> {
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        target.push_str(before);
        let value = fields.remove(name).as_ref().and_then(text);
        let value = value.filter(|v| !v.is_empty()).ok_or_else(|| {
            ClientError::Protocol(format!("the input lacks {name:?}, which stands in the path"))
        })?;
        escape(target, &value);
        rest = after;
    }
    target.push_str(rest);
    Ok(())
}

fn query(target: &mut String, fields: &Map<String, Value>) {
    let mut separator = '?';
    for (name, value) in fields {
        let one = std::slice::from_ref(value);
        for value in value.as_array().map_or(one, Vec::as_slice) {
            if let Some(value) = text(value) {
                target.push(std::mem::replace(&mut separator, '&'));
                escape(target, name);
                target.push('=');
                escape(target, &value);
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3).
pub(crate) fn escape(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(char::from(byte));
        } else {
            let _ = write!(target, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::HostPath;
    use atelier_api::env::{
        EnvCreate, EnvCreateInput, EnvDiff, EnvDiffInput, EnvList, EnvListInput, EnvLogs,
        EnvLogsInput,
    };
    use atelier_api::system::{Nothing, SystemStop};

    use super::*;

    fn project() -> HostPath {
        "/p q/é".into()
    }

    #[test]
    fn fields_go_into_the_path_and_the_query() {
        let input =
            EnvDiffInput { env: "a".parse().unwrap(), project: project(), all: true, stat: false };
        let request = request::<EnvDiff>(&input).unwrap();
        assert_eq!(
            request.target,
            "/api/v1/environments/a/diff?all=true&project=%2Fp%20q%2F%C3%A9&stat=false"
        );
        assert_eq!(request.body, None);
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let none = request::<EnvList>(&EnvListInput { project: None }).unwrap();
        assert_eq!(none.target, "/api/v1/environments");
        let logs = EnvLogsInput { env: "a".parse().unwrap(), project: "/p".into(), last: Some(3) };
        let some = request::<EnvLogs>(&logs).unwrap();
        assert_eq!(some.target, "/api/v1/environments/a/logs?last=3&project=%2Fp");
    }

    #[test]
    fn a_change_has_a_body() {
        let mut options = atelier_api::EnvOptions::default();
        options.allow.push("a:1".into());
        let input = EnvCreateInput { env: "a".parse().unwrap(), project: project(), options };
        let request = request::<EnvCreate>(&input).unwrap();
        assert_eq!(request.target, "/api/v1/environments");
        let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        assert_eq!(body["project"], "/p q/é");
        assert_eq!(body["allow"], serde_json::json!(["a:1"]));
    }

    #[test]
    fn nothing_is_an_empty_object() {
        let request = request::<SystemStop>(&Nothing {}).unwrap();
        assert_eq!(request.body.as_deref(), Some(&b"{}"[..]));
    }

    #[test]
    fn arrays_are_repeated() {
        let mut target = String::new();
        let fields = serde_json::json!({"a": ["x", "y z"], "b": null, "c": 1.5});
        query(&mut target, fields.as_object().unwrap());
        assert_eq!(target, "?a=x&a=y%20z&c=1.5");
    }
}
