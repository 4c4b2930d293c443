//! From a tree of YAML to a plugin, with every mistake found and placed, not the first alone.

mod parts;
mod values;

use std::path::PathBuf;

use atelier_yaml::{Node, Place};

pub(crate) use self::values::Fields;
use crate::{Finding, Plugin, SCHEMA, Source};

/// The versions of ATK's schema that were published.
const ATK: [&str; 2] = ["2026-01-23", "2026-08-20"];

/// Reads, and gathers what is wrong.
pub(crate) struct Reader<'a> {
    source: &'a Source,
    /// Keys that the user's overrides gave.
    replaced: Vec<String>,
    /// Whether the keys of `atelier/1` may be used.
    ours: bool,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(source: &'a Source, replaced: Vec<String>) -> Self {
        Self { source, replaced, ours: false, findings: Vec::new() }
    }

    /// Notes a mistake of a node.
    pub(crate) fn find(&mut self, node: &Node, key: &str, message: String, hint: Option<&str>) {
        self.find_at(node.place, key, message, hint);
    }

    pub(crate) fn find_at(
        &mut self,
        (line, column): Place,
        key: &str,
        message: String,
        hint: Option<&str>,
    ) {
        let (file, hint) = (self.file_of(key), hint.map(str::to_owned));
        self.findings.push(Finding { file, line, column, key: key.to_owned(), message, hint });
    }

    fn file_of(&self, key: &str) -> PathBuf {
        let below = |path: &String| {
            key.strip_prefix(path.as_str()).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('.') || rest.starts_with('[')
            })
        };
        match &self.source.overrides {
            Some(file) if self.replaced.iter().any(below) => file.clone(),
            _ => self.source.file.clone(),
        }
    }

    /// The plugin, or everything that keeps it from being one.
    pub(crate) fn plugin(mut self, root: &Node) -> Result<Plugin, Vec<Finding>> {
        let version = self.version(root);
        self.ours = version.as_deref() == Some(SCHEMA);
        let plugin = self.root(root, version.unwrap_or_default());
        match plugin {
            Some(plugin) if self.findings.is_empty() => Ok(plugin),
            _ => Err(self.findings),
        }
    }

    fn version(&mut self, root: &Node) -> Option<String> {
        let fields = self.open_map(root, "")?;
        let version = self.required(&fields, "schema_version")?;
        let node = fields.get("schema_version").unwrap_or(root);
        if version == SCHEMA || is_date(&version) {
            if version != SCHEMA && version.as_str() > ATK[1] {
                let hint = "a newer version of Atelier may read it";
                let message = format!("`{version}` is newer than the schemas known here");
                self.find(node, "schema_version", message, Some(hint));
            }
            return Some(version);
        }
        let message = format!("`{version}` is no known schema");
        let hint = "write `schema_version: atelier/1`, or \"2026-08-20\" for a plugin of ATK";
        self.find(node, "schema_version", message, Some(hint));
        None
    }
}

/// `YYYY-MM-DD` in its shape, which is all that ATK asks.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, b)| match at {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests;
