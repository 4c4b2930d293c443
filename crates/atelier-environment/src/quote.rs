//! Paths as text: git's quoting of odd bytes, and how a path travels in JSON.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether git would quote these bytes (`core.quotePath` at its default).
fn is_odd(byte: u8) -> bool {
    !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\'
}

/// The bytes inside git's double quotes, without the quotes.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\t' => out.extend(b"\\t"),
            b'\r' => out.extend(b"\\r"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            11 => out.extend(b"\\v"),
            12 => out.extend(b"\\f"),
            _ if is_odd(byte) => out.extend(format!("\\{byte:03o}").into_bytes()),
            _ => out.push(byte),
        }
    }
}

/// A path as git writes it in a patch: as it is, or in C-style quotes when it holds odd bytes.
pub(crate) fn git_quoted(prefix: &str, path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefix.len() + path.len() + 2);
    if path.iter().copied().any(is_odd) {
        out.push(b'"');
        out.extend(prefix.as_bytes());
        escape(path, &mut out);
        out.push(b'"');
    } else {
        out.extend(prefix.as_bytes());
        out.extend(path);
    }
    out
}

/// A path on one line, for people: UTF-8 as it is, everything else as git quotes it.
pub(crate) fn shown(path: &Path) -> String {
    path_text(path.as_os_str().as_bytes())
}

/// The same for raw bytes.
pub(crate) fn path_text(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => String::from_utf8_lossy(&git_quoted("", path)).into_owned(),
    }
}

/// How a path is written in JSON: a string, or its bytes when they are no UTF-8.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(crate) enum PathJson {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for PathJson {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_owned()),
        }
    }
}

impl From<PathJson> for PathBuf {
    fn from(json: PathJson) -> Self {
        match json {
            PathJson::Text(text) => text.into(),
            PathJson::Bytes(bytes) => std::ffi::OsString::from_vec(bytes).into(),
        }
    }
}

/// `#[serde(with)]` for a path.
pub(crate) mod path_json {
    use super::{Deserialize, Deserializer, Path, PathBuf, PathJson, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        PathJson::from(path).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        PathJson::deserialize(from).map(PathBuf::from)
    }
}

/// `#[serde(with)]` for several paths.
pub(crate) mod paths_json {
    use super::{Deserialize, Deserializer, PathBuf, PathJson, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        paths.iter().map(|p| PathJson::from(p.as_path())).collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<PathJson>::deserialize(from)?.into_iter().map(PathBuf::from).collect())
    }
}

/// A path as raw bytes.
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// Raw bytes as a path.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted_as_git_does() {
        assert_eq!(git_quoted("a/", b"src/main.rs"), b"a/src/main.rs");
        assert_eq!(git_quoted("a/", b"with space"), b"a/with space");
        assert_eq!(git_quoted("a/", b"new\nline\t\"q\""), b"\"a/new\\nline\\t\\\"q\\\"\"");
        assert_eq!(git_quoted("", "é".as_bytes()), b"\"\\303\\251\"");
    }

    #[test]
    fn a_path_of_any_bytes_survives_json() {
        #[derive(Serialize, Deserialize)]
        struct Holder(#[serde(with = "path_json")] PathBuf);
        for bytes in [b"plain".as_slice(), b"new\nline", b"\xff\xfe/x"] {
            let path = as_path(bytes).to_owned();
            let json = serde_json::to_string(&Holder(path.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Holder>(&json).unwrap().0, path);
        }
    }
}
