//! Reading `atelier.yaml` and what stands for it, with the line and column of what is wrong.

use std::io::ErrorKind;
use std::path::Path;

use atelier_api::nearest;
use atelier_net::Rule;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};

use super::{Config, FILE_NAME, Network, cilo};
use crate::error::{Error, Result};

/// A settings file beyond this many bytes is a mistake.
const LIMIT: u64 = 1 << 20;
impl Config {
    /// The settings of the project at `root`: its own file, or that of Cilo; the defaults when it has none.
    ///
    /// # Errors
    /// [`Error::Config`] when the file is not valid, [`Error::Io`] when it cannot be read.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join(FILE_NAME);
        if let Some(bytes) = bytes(&path)? {
            return Self::parse(&bytes, &path);
        }
        let path = root.join(cilo::FILE);
        match bytes(&path)? {
            Some(bytes) => cilo::parse(&bytes, &path),
            None => Ok(Self::default()),
        }
    }

    /// Settings from the bytes of a file; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Config`] with the place of the first mistake.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        document(bytes, path)
    }

    /// The JSON Schema of `atelier.yaml`.
    #[must_use]
    pub fn json_schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }
}

/// The file's bytes; `None` when there is none.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(Error::io("read", path, e)),
    };
    if !meta.is_file() {
        return Err(bad(path, "it is no regular file"));
    }
    if meta.len() > LIMIT {
        return Err(bad(path, "it is larger than 1 MiB"));
    }
    std::fs::read(path).map(Some).map_err(|e| Error::io("read", path, e))
}

/// A file that is wrong as a whole.
pub(super) fn bad(path: &Path, message: &str) -> Error {
    at(path, 1, 1, message.to_owned(), None)
}

fn at(path: &Path, line: u64, column: u64, message: String, suggestion: Option<String>) -> Error {
    Error::Config { file: path.to_owned(), line, column, message, suggestion }
}

/// One YAML document from the bytes of a file.
pub(super) fn document<T: DeserializeOwned + Default>(bytes: &[u8], path: &Path) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let good = &bytes[..e.valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        let column = 1 + good.iter().rev().take_while(|b| **b != b'\n').count();
        at(path, line as u64, column as u64, "it is not UTF-8".to_owned(), None)
    })?;
    let document = text.lines().any(|l| {
        let l = l.trim();
        !l.is_empty() && !l.starts_with('#') && l != "---"
    });
    if !document {
        return Ok(T::default());
    }
    serde_saphyr::from_str::<T>(text).map_err(|e| {
        let (line, column) = e.location().map_or((1, 1), |l| (l.line(), l.column()));
        let (message, suggestion) = words(e.without_snippet());
        at(path, line.max(1), column.max(1), message, suggestion)
    })
}

/// What is wrong, and the name that was probably meant.
fn words(error: &serde_saphyr::Error) -> (String, Option<String>) {
    use serde_saphyr::Error as E;
    match error {
        E::SerdeUnknownField { field, expected, .. } => {
            let near = nearest(field, expected.iter().copied()).map(str::to_owned);
            let known = expected.join(", ");
            (format!("there is no setting `{field}` here; there are {known}"), near)
        }
        E::SerdeUnknownVariant { variant, expected, .. } => {
            let near = nearest(variant, expected.iter().copied()).map(str::to_owned);
            (format!("`{variant}` is none of {}", expected.join(", ")), near)
        }
        E::DuplicateMappingKey { key: Some(key), .. } => (format!("`{key}` is given twice"), None),
        other => {
            let options = serde_saphyr::RenderOptions::default();
            let text = other.render_with_options(options);
            // The place is told in front already.
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            (text.trim_start_matches("error: ").trim_end_matches(':').to_owned(), None)
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Network;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`open`, `none`, or `allow:` with a list of host:port")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                match text {
                    "open" => Ok(Network::Open),
                    "none" => Ok(Network::None),
                    other => Err(E::unknown_variant(other, &["open", "none"])),
                }
            }

            // YAML 1.1 habits: `none` may come as null from `~`.
            fn visit_unit<E: de::Error>(self) -> Result<Network, E> {
                Ok(Network::None)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Network, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Listed {
                    allow: Vec<String>,
                }
                let listed = Listed::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let rule = |text: &String| text.parse::<Rule>().map_err(de::Error::custom);
                listed.allow.iter().try_for_each(|text| rule(text).map(drop))?;
                Ok(Network::Allow(listed.allow))
            }
        }
        from.deserialize_any(Visitor)
    }
}
