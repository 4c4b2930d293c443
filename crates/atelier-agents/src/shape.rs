//! How each agent writes a server down: the names and the order of the fields, checked against what
//! the agents' own `mcp add` writes (tests/real). One table row per agent, one encoder, one decoder.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::server::{Server, Transport};

/// The fields of an entry in the order in which they are written.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// An agent's way to write a server down.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What stands under `type` for stdio, http and sse; an empty word where nothing does.
    pub types: [&'static str; 3],
    /// A field that every entry has.
    pub constant: Option<(&'static str, &'static str)>,
    /// The command and its arguments are one array.
    pub joined: bool,
    /// `args` is written even when there are none.
    pub empty_args: bool,
    /// The variables are written even when there are none.
    pub empty_env: bool,
    /// What the variables are called.
    pub env: &'static str,
    /// What the URL is called.
    pub url: &'static str,
    /// The URL stands before `type`.
    pub url_first: bool,
    /// What the headers are called.
    pub headers: &'static str,
    /// What the timeout is called, and how many milliseconds its unit has.
    pub timeout: Option<(&'static str, u64)>,
    /// Whether servers behind HTTP, and behind server-sent events, can be written at all.
    pub http: bool,
    /// The same for server-sent events.
    pub sse: bool,
}

impl Shape {
    /// What most agents share.
    pub const PLAIN: Self = Self {
        types: ["", "", ""],
        constant: None,
        joined: false,
        empty_args: true,
        empty_env: false,
        env: "env",
        url: "url",
        url_first: false,
        headers: "headers",
        timeout: None,
        http: true,
        sse: true,
    };

    /// Whether the agent knows the transport.
    pub fn takes(&self, transport: &Transport) -> bool {
        match transport {
            Transport::Stdio { .. } => true,
            Transport::Http { .. } => self.http,
            Transport::Sse { .. } => self.sse,
        }
    }

    /// The entry for a server.
    pub fn encode(&self, server: &Server) -> Fields {
        let mut fields = Fields::new();
        if let Some((key, value)) = self.constant {
            fields.push((key, value.into()));
        }
        match &server.transport {
            Transport::Stdio { command, args, env } => {
                self.push_type(&mut fields, 0);
                self.push_program(&mut fields, command, args, env);
            }
            Transport::Http { url, headers } => self.push_remote(&mut fields, 1, url, headers),
            Transport::Sse { url, headers } => self.push_remote(&mut fields, 2, url, headers),
        }
        if let (Some((key, unit)), Some(timeout)) = (self.timeout, server.timeout) {
            let whole = timeout % unit == 0;
            #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
            let value =
                if whole { json!(timeout / unit) } else { json!(timeout as f64 / unit as f64) };
            fields.push((key, value));
        }
        fields
    }

    fn push_type(&self, fields: &mut Fields, kind: usize) {
        if !self.types[kind].is_empty() {
            fields.push(("type", self.types[kind].into()));
        }
    }

    fn push_program(
        &self,
        fields: &mut Fields,
        command: &str,
        args: &[String],
        env: &BTreeMap<String, String>,
    ) {
        if self.joined {
            let words: Vec<_> =
                std::iter::once(command).chain(args.iter().map(String::as_str)).collect();
            fields.push(("command", json!(words)));
        } else {
            fields.push(("command", command.into()));
            if self.empty_args || !args.is_empty() {
                fields.push(("args", json!(args)));
            }
        }
        if self.empty_env || !env.is_empty() {
            fields.push((self.env, json!(env)));
        }
    }

    fn push_remote(
        &self,
        fields: &mut Fields,
        kind: usize,
        url: &str,
        headers: &BTreeMap<String, String>,
    ) {
        if self.url_first {
            fields.push((self.url, url.into()));
            self.push_type(fields, kind);
        } else {
            self.push_type(fields, kind);
            fields.push((self.url, url.into()));
        }
        if !headers.is_empty() {
            fields.push((self.headers, json!(headers)));
        }
    }

    /// The server that an entry stands for; none for what is no server of the kinds that we know.
    pub fn decode(&self, name: &str, entry: &Value) -> Option<Server> {
        let entry = entry.as_object()?;
        let transport = match text(entry, self.url) {
            Some(url) => self.decode_remote(entry, url)?,
            None => self.decode_program(entry)?,
        };
        let timeout = self.timeout.and_then(|(key, unit)| {
            #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
            let milliseconds = entry.get(key)?.as_f64()? * unit as f64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            (0.0..1e15).contains(&milliseconds).then_some(milliseconds as u64)
        });
        Some(Server { name: name.to_owned(), transport, timeout })
    }

    fn decode_program(&self, entry: &Map<String, Value>) -> Option<Transport> {
        let (command, args) = if self.joined {
            let mut words = words(entry.get("command"))?;
            if words.is_empty() {
                return None;
            }
            (words.remove(0), words)
        } else {
            (text(entry, "command")?, words(entry.get("args"))?)
        };
        Some(Transport::Stdio { command, args, env: texts(entry.get(self.env))? })
    }

    fn decode_remote(&self, entry: &Map<String, Value>, url: String) -> Option<Transport> {
        let headers = texts(entry.get(self.headers))?;
        let kind = text(entry, "type").unwrap_or_default();
        // Where both have the same word, or none, the agent finds out by itself.
        let sse = self.types[1] != self.types[2] && kind == self.types[2];
        Some(if sse { Transport::Sse { url, headers } } else { Transport::Http { url, headers } })
    }

    /// The fields that are ours in an entry; all others are the user's, and are kept.
    pub fn managed(&self) -> Vec<&'static str> {
        let mut keys = vec!["type", "command", "args", self.env, self.url, self.headers];
        keys.extend(self.constant.map(|(key, _)| key));
        keys.extend(self.timeout.map(|(key, _)| key));
        keys
    }

    /// What an entry says in the fields that are ours, as a hash. Order, comments and empty lists don't count.
    pub fn hash(&self, entry: &Value) -> String {
        let Some(object) = entry.as_object() else { return digest(&entry.to_string()) };
        let managed = self.managed();
        let ours = object.iter().filter(|(key, _)| managed.contains(&key.as_str()));
        let mut lines: Vec<_> = ours
            .filter(|(_, value)| !is_empty(value))
            .map(|(key, value)| format!("{key}={}", canonical(value)))
            .collect();
        lines.sort();
        digest(&lines.join("\n"))
    }
}

/// An entry made of fields.
pub(crate) fn entry(fields: &Fields) -> Value {
    fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

/// The hexadecimal SHA-256 of a text.
pub(crate) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// JSON with sorted keys, and whole numbers written as such.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> =
                map.iter().map(|(k, v)| format!("{}:{}", json!(k), canonical(v))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |n| n.to_string()),
        other => other.to_string(),
    }
}

fn text(entry: &Map<String, Value>, key: &str) -> Option<String> {
    entry.get(key)?.as_str().map(str::to_owned)
}

/// A list of texts; an empty one where there is none.
fn words(value: Option<&Value>) -> Option<Vec<String>> {
    let Some(value) = value else { return Some(Vec::new()) };
    value.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// A map of texts; an empty one where there is none.
fn texts(value: Option<&Value>) -> Option<BTreeMap<String, String>> {
    let Some(value) = value else { return Some(BTreeMap::new()) };
    value.as_object()?.iter().map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same_server() {
        for agent in crate::Agent::all() {
            let shape = agent.shape();
            let mut server = Server::stdio("a", "/bin/x", &["exec", "a"]);
            server.timeout = shape.timeout.map(|_| 9500);
            assert_eq!(shape.decode("a", &entry(&shape.encode(&server))), Some(server), "{agent}");
            let mut server = Server::http("a", "https://x/mcp");
            if let Transport::Http { headers, .. } = &mut server.transport {
                headers.insert("X-A".into(), "b".into());
            }
            assert_eq!(shape.decode("a", &entry(&shape.encode(&server))), Some(server), "{agent}");
        }
    }

    #[test]
    fn a_field_of_the_users_is_no_change_of_ours() {
        let shape = Shape::PLAIN;
        let ours = json!({"command": "x", "args": []});
        let theirs = json!({"trust": true, "command": "x"});
        assert_eq!(shape.hash(&ours), shape.hash(&theirs));
        assert_ne!(shape.hash(&ours), shape.hash(&json!({"command": "y"})));
    }
}
