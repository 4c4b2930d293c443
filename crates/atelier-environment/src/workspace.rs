//! An environment's workspace: a project's files at one moment, as layers over a frozen base.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::scan::Skipped;
use atelier_files::disk_usage;

/// The record of a workspace inside its folder.
const RECORD: &str = "workspace.json";

/// How workspaces are kept on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LayerMode {
    /// Layers for overlayfs, mounted with `userxattr` by the caller.
    Overlay,
    /// A full copy, where overlays cannot be mounted (by reflink where the filesystem can).
    Copy,
}

/// How one workspace is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Mode {
    /// Mount `overlay` with `userxattr,lowerdir=<lowers>,upperdir=<upper>,workdir=<work>`.
    Overlay {
        /// What the environment writes.
        #[serde(with = "crate::quote::path_json")]
        upper: PathBuf,
        /// The kernel's own folder.
        #[serde(with = "crate::quote::path_json")]
        work: PathBuf,
    },
    /// Bind-mount `tree`.
    Copy {
        /// The full copy.
        #[serde(with = "crate::quote::path_json")]
        tree: PathBuf,
        /// When it was whole, nanoseconds since 1970.
        sealed: i64,
    },
}

/// What the making of a workspace took.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Stats {
    /// Files, folders and links of the project.
    pub paths: usize,
    /// Paths that differ from the base.
    pub changed: usize,
    /// Bytes that were copied for this workspace or its base.
    pub copied: u64,
    /// Whether a base was made.
    pub new_base: bool,
}

/// A project's files at one moment, and what an environment wrote on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Where the environment sees it: the project's own root.
    #[serde(with = "crate::quote::path_json")]
    pub target: PathBuf,
    /// The snapshot it was made from: read-only layers, the top first.
    #[serde(with = "crate::quote::paths_json")]
    pub lowers: Vec<PathBuf>,
    /// Where the environment writes.
    pub mode: Mode,
    /// The frozen base, as `<project>/<generation>`.
    pub base_id: String,
    /// The commit that the snapshot was on, when it has one.
    pub head: Option<String>,
    /// What could not come along.
    pub skipped: Vec<Skipped>,
    /// What it took.
    pub stats: Stats,
    /// The project as it was when it was brought in last; what differs from it is the environment's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced: Option<Synced>,
}

/// The project as it was at a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// Unique within the environment; its folder is `synced-<id>`.
    pub id: String,
    /// Read-only layers, the top first.
    #[serde(with = "crate::quote::paths_json")]
    pub lowers: Vec<PathBuf>,
    /// The frozen base, as `<project>/<generation>`.
    pub base_id: String,
    /// The commit that the project was on.
    pub head: Option<String>,
}

impl Workspace {
    /// The layers as the environment sees them, the top first.
    #[must_use]
    pub fn layers(&self) -> Vec<&Path> {
        let lowers = self.lowers.iter().map(PathBuf::as_path);
        match &self.mode {
            Mode::Overlay { upper, .. } => std::iter::once(upper.as_path()).chain(lowers).collect(),
            Mode::Copy { tree, .. } => vec![tree],
        }
    }

    /// The project as the environment knows it: read-only layers, the top first.
    #[must_use]
    pub fn snapshot(&self) -> &[PathBuf] {
        self.synced.as_ref().map_or(&self.lowers, |synced| &synced.lowers)
    }

    /// The frozen bases that it stands on.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        let synced = self.synced.as_ref().map(|synced| synced.base_id.as_str());
        std::iter::once(self.base_id.as_str()).chain(synced)
    }

    /// The environment's own folder, which holds everything that it wrote.
    #[must_use]
    pub fn layer_dir(&self) -> &Path {
        let inside = match &self.mode {
            Mode::Overlay { upper, .. } => upper,
            Mode::Copy { tree, .. } => tree,
        };
        inside.parent().unwrap_or(inside)
    }

    /// Reads the record of the workspace in `layer_dir`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(layer_dir: &Path) -> Result<Self> {
        let path = layer_dir.join(RECORD);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Damaged { path, why: e.to_string() })
    }

    pub(crate) fn save(&self, layer_dir: &Path) -> Result<()> {
        let path = layer_dir.join(RECORD);
        let json = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Damaged { path: path.clone(), why: e.to_string() })?;
        std::fs::write(&path, json).map_err(|e| Error::io("write", &path, e))
    }

    /// The bytes that this environment takes of its own: what it wrote, and what had changed
    /// since the base.
    ///
    /// # Errors
    /// When its folders cannot be read.
    pub fn disk_usage(&self) -> Result<u64> {
        let folder = self.layer_dir();
        disk_usage(folder).map_err(|e| Error::io("read", folder, e))
    }
}
