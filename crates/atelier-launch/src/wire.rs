//! How paths are written in JSON: as text when they are UTF-8, else as `hex:` and their bytes.
//!
//! Absolute paths begin with a slash, so the two cannot be mistaken for one another.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "hex:";

fn encode(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.starts_with(PREFIX) => text.to_owned(),
        _ => {
            let hex = path.as_os_str().as_bytes().iter().map(|b| format!("{b:02x}"));
            PREFIX.chars().chain(hex.collect::<String>().chars()).collect()
        }
    }
}

fn decode(text: &str) -> Option<PathBuf> {
    let Some(hex) = text.strip_prefix(PREFIX) else { return Some(PathBuf::from(text)) };
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// One path; used with `#[serde(with = "wire::path")]`.
pub mod path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes one path.
    pub fn serialize<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&super::encode(path))
    }

    /// Reads one path.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(from)?;
        super::decode(&text).ok_or_else(|| D::Error::custom("a path with broken hex digits"))
    }
}

/// Several paths; used with `#[serde(with = "wire::paths")]`.
pub mod paths {
    use std::path::PathBuf;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes the paths.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(paths.iter().map(|path| super::encode(path)))
    }

    /// Reads the paths.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let paths = texts.iter().map(|text| super::decode(text)).collect::<Option<Vec<_>>>();
        paths.ok_or_else(|| D::Error::custom("a path with broken hex digits"))
    }
}

/// A path that may be missing; used with `#[serde(with = "wire::maybe_path")]`.
pub mod maybe_path {
    use std::path::PathBuf;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    /// Writes the path or null.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, out: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(super::encode).serialize(out)
    }

    /// Reads the path or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let path = super::decode(&text);
        path.map(Some).ok_or_else(|| D::Error::custom("a path with broken hex digits"))
    }
}
