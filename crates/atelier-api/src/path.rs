//! Paths on the wire: JSON strings are Unicode, file names on Unix are bytes.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An absolute path of the machine the control plane runs on. A path that is valid UTF-8 travels
/// as it is; any other as a `file://` URI with percent-encoded bytes (RFC 8089).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPath(pub PathBuf);

const SCHEME: &str = "file://";

impl HostPath {
    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// How it travels.
    #[must_use]
    pub fn encode(&self) -> String {
        match self.0.to_str() {
            Some(text) if !text.starts_with(SCHEME) => text.to_owned(),
            _ => {
                let mut uri = SCHEME.to_owned();
                for byte in self.0.as_os_str().as_bytes() {
                    if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
                        uri.push(char::from(*byte));
                    } else {
                        uri.push_str(&format!("%{byte:02X}"));
                    }
                }
                uri
            }
        }
    }

    /// The inverse of [`HostPath::encode`]. `None` when a percent sign is not followed by two
    /// hexadecimal digits.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let Some(uri) = text.strip_prefix(SCHEME) else {
            return Some(Self(PathBuf::from(text)));
        };
        let mut bytes = Vec::with_capacity(uri.len());
        let mut rest = uri.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(if byte == b'%' {
                hex(rest.next()?)? << 4 | hex(rest.next()?)?
            } else {
                byte
            });
        }
        Some(Self(PathBuf::from(OsString::from_vec(bytes))))
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

impl<P: Into<PathBuf>> From<P> for HostPath {
    fn from(path: P) -> Self {
        Self(path.into())
    }
}

impl Serialize for HostPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).ok_or_else(|| serde::de::Error::custom("a broken file:// URI"))
    }
}

impl JsonSchema for HostPath {
    fn schema_name() -> Cow<'static, str> {
        "HostPath".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An absolute path; one that is not UTF-8 as a file:// URI with percent-encoded bytes."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_survives_the_wire() {
        for bytes in [&b"/plain path\n"[..], b"/caf\xe9/100%", b"file://odd", b"/%41"] {
            let path = HostPath(PathBuf::from(OsString::from_vec(bytes.to_vec())));
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<HostPath>(&json).unwrap(), path, "{json}");
        }
    }

    #[test]
    fn a_broken_escape_is_an_error() {
        assert!(serde_json::from_str::<HostPath>("\"file:///%4\"").is_err());
    }
}
