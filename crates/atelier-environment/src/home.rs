//! The folders below `ATELIER_HOME` that hold the files of environments.

use std::path::{Path, PathBuf};

/// `ATELIER_HOME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home at an absolute path. Nothing is created yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the frozen bases are, a folder for each project.
    #[must_use]
    pub fn bases(&self) -> PathBuf {
        self.root.join("bases")
    }

    /// Where the environments are.
    #[must_use]
    pub fn envs(&self) -> PathBuf {
        self.root.join("envs")
    }
}
