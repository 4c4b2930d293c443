//! Messages, as far as a transport must know them. Their text is kept as it came.

use serde_json::{Value, json};

/// Since this revision there are no sessions, and headers repeat what a message says.
pub(super) const SESSIONLESS: &str = "2026-07-28";

/// JSON-RPC's code for what a server (or one before it) could not do.
const SERVER_ERROR: i32 = -32000;

/// A message of the agent's.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) value: Value,
}

impl Message {
    pub(super) fn of(line: Vec<u8>) -> Result<Self, String> {
        let text = String::from_utf8(line).map_err(|_| "a line that is no UTF-8".to_owned())?;
        let value =
            serde_json::from_str(&text).map_err(|e| format!("a line that is no JSON: {e}"))?;
        Ok(Self { text, value })
    }

    pub(super) fn method(&self) -> Option<&str> {
        self.value.get("method")?.as_str()
    }

    /// Its identifier as text, if it is a request.
    pub(super) fn request_id(&self) -> Option<String> {
        self.method()?;
        Some(self.value.get("id")?.to_string())
    }

    pub(super) fn params(&self) -> Option<&Value> {
        self.value.get("params")
    }

    /// The revision that it names itself.
    pub(super) fn version(&self) -> Option<&str> {
        let meta = self.params()?.get("_meta")?;
        meta.get("io.modelcontextprotocol/protocolVersion")?.as_str()
    }

    /// An answer of ours in place of the server's.
    pub(super) fn error(&self, why: &str) -> Option<String> {
        self.request_id()?;
        let error = json!({"code": SERVER_ERROR, "message": why});
        Some(json!({"jsonrpc": "2.0", "id": self.value.get("id"), "error": error}).to_string())
    }
}

/// A message that was none.
pub(super) fn parse_error(why: &str) -> String {
    let error = json!({"code": -32700, "message": why});
    json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string()
}

/// A message of the server's on one line. Line ends in JSON stand between tokens only.
pub(super) fn one_line(text: &str) -> String {
    text.trim().replace(['\r', '\n'], " ")
}

/// Whether it answers this request, whose identifier is given as JSON's text.
pub(super) fn answers(value: &Value, id: &str) -> bool {
    let one = |value: &Value| {
        value.get("method").is_none()
            && value.get("id").map(Value::to_string).as_deref() == Some(id)
    };
    match value {
        Value::Array(batch) => batch.iter().any(one),
        value => one(value),
    }
}
