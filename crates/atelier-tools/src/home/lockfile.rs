//! `tools.lock.json`: what exactly is installed. The same tools give the same bytes on every machine.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files;
use super::manifest::Kind;
use crate::{Home, Problem, Result, Slug, ToolsError};

/// The schema that this Atelier writes.
pub const SCHEMA: &str = "atelier-tools-lock/1";

/// What a source was resolved to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// What kind of place it was.
    pub kind: Kind,
    /// The repository or registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The tag, when a range was asked for; the version of an MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The folder in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdir: Option<String>,
}

impl Resolved {
    /// What tells one from another, short: `1a2b3c4`, `1.2.0`, `local files`.
    #[must_use]
    pub fn short(&self) -> String {
        let commit = self.commit.as_ref().map(|c| c.chars().take(7).collect::<String>());
        match (&self.version, commit) {
            (Some(version), Some(commit)) => format!("{version}, {commit}"),
            (Some(one), None) => one.clone(),
            (None, Some(one)) => one,
            (None, None) => "local files".into(),
        }
    }
}

/// One file of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockedFile {
    /// SHA-256 of its contents, in hexadecimal; of where it leads, for a link.
    pub sha256: String,
    /// It can be run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    /// It is a symbolic link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub link: bool,
}

/// Where a package comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// npm.
    Npm,
    /// PyPI.
    Pypi,
    /// A container image.
    Oci,
}

/// One package that a tool runs, pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct LockedPackage {
    /// Where it comes from.
    pub kind: PackageKind,
    /// Its name.
    pub name: String,
    /// Its exact version; an image's tag.
    pub version: String,
    /// What npm's lock says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
    /// SHA-256 of the files that PyPI may give for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sha256s: Vec<String>,
    /// An image's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A package that runs and is not pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Unpinned {
    /// What it is, as the plugin runs it.
    pub what: String,
    /// Why it is not pinned.
    pub why: String,
}

/// One installed tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Locked {
    /// What its source was resolved to.
    pub source: Resolved,
    /// Every file that came from there.
    pub files: BTreeMap<String, LockedFile>,
    /// The packages that it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<LockedPackage>,
    /// SHA-256 of the files in `locks/SLUG/`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub locks: BTreeMap<String, String>,
    /// npm packages of it may run their install scripts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scripts: bool,
    /// What runs and is not pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpinned: Vec<Unpinned>,
}

/// The lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// Always `atelier-tools-lock/1`.
    pub schema_version: String,
    /// The tools.
    #[serde(default)]
    pub tools: BTreeMap<Slug, Locked>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { schema_version: SCHEMA.into(), tools: BTreeMap::new() }
    }
}

impl Lock {
    /// Reads a home's lock; an empty one when there is none.
    ///
    /// # Errors
    /// [`ToolsError::Invalid`] when it was spoilt.
    pub fn read(home: &Home) -> Result<Self> {
        let Some(text) = files::read(&home.lock_file())? else { return Ok(Self::default()) };
        let invalid = |problem| ToolsError::Invalid {
            subject: "tools.lock.json".into(),
            problems: vec![problem],
        };
        let lock: Self = serde_json::from_str(&text).map_err(|error| {
            invalid(Problem {
                line: Some(error.line() as u64),
                column: Some(error.column() as u64),
                hint: Some(
                    "bring the last good one back: atelier tool git checkout -- tools.lock.json"
                        .into(),
                ),
                ..Problem::of("tools.lock.json", error.to_string())
            })
        })?;
        match lock.schema_version == SCHEMA {
            true => Ok(lock),
            false => Err(invalid(Problem::of(
                "tools.lock.json",
                format!(
                    "schema_version is `{}`; this Atelier knows `{SCHEMA}`",
                    lock.schema_version
                ),
            ))),
        }
    }

    /// Its bytes: sorted, the packages too.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut lock = self.clone();
        for locked in lock.tools.values_mut() {
            locked.packages.sort();
            locked.unpinned.sort();
        }
        let mut bytes = serde_json::to_vec_pretty(&lock).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// A tool of it.
    ///
    /// # Errors
    /// [`ToolsError::Unknown`].
    pub fn tool(&self, slug: &Slug) -> Result<&Locked> {
        self.tools.get(slug).ok_or_else(|| ToolsError::Unknown {
            name: slug.to_string(),
            known: self.tools.keys().map(ToString::to_string).collect(),
        })
    }
}
