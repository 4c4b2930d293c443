//! Where everything of the tools lies. No other file spells these names.

mod change;
pub(crate) mod edit;
pub(crate) mod files;
mod journal;
mod lockfile;
mod manifest;
mod writer;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};

pub use atelier_plugin::Slug;
pub(crate) use change::{Change, refuse_foreign};
pub use edit::{edit_mapping, emit};
pub(crate) use journal::Phase;
pub use lockfile::{Lock, Locked, LockedFile, LockedPackage, PackageKind, Resolved, Unpinned};
pub use manifest::{
    Kind, Manifest, PUBLIC_REGISTRY, Registry, RegistryKind, Settings, Source, Tool, Wanted,
    json_schema,
};
pub(crate) use writer::{Writer, hold};

/// The home of the tools: `$ATELIER_HOME/tools`, a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    atelier: PathBuf,
}

impl Home {
    /// The home below Atelier's own (`$ATELIER_HOME`), an absolute path; nothing is made or read.
    #[must_use]
    pub fn below(atelier: impl Into<PathBuf>) -> Self {
        let atelier = atelier.into();
        Self { root: atelier.join("tools"), atelier }
    }
    /// The repository itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The manifest: what the user wants installed.
    #[must_use]
    pub fn manifest_file(&self) -> PathBuf {
        self.root.join("tools.yaml")
    }
    /// The lock: what exactly is installed.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("tools.lock.json")
    }
    /// What packages are installed from: `package-lock.json`, `requirements.txt`.
    #[must_use]
    pub fn locks(&self, slug: &Slug) -> PathBuf {
        self.root.join("locks").join(slug.as_str())
    }
    /// All plugins.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }
    /// A plugin's files, the user's `custom/`, and what it writes as it runs.
    #[must_use]
    pub fn plugin(&self, slug: &Slug) -> PathBuf {
        self.plugins().join(slug.as_str())
    }
    /// The user's own files for a plugin: `overrides.yaml`, scripts.
    #[must_use]
    pub fn custom(&self, slug: &Slug) -> PathBuf {
        self.plugin(slug).join("custom")
    }
    /// Plain settings of a tool.
    #[must_use]
    pub fn values_file(&self, slug: &Slug) -> PathBuf {
        self.root.join("values").join(format!("{slug}.yaml"))
    }
    /// Secret settings of a tool, each value encrypted.
    #[must_use]
    pub fn secrets_file(&self, slug: &Slug) -> PathBuf {
        self.root.join("secrets").join(format!("{slug}.yaml"))
    }
    /// What belongs to this machine alone, and is in no commit.
    #[must_use]
    pub fn local(&self) -> PathBuf {
        self.root.join(".local")
    }
    /// Held by the one that changes the home.
    #[must_use]
    pub fn writer_lock(&self) -> PathBuf {
        self.local().join("lock")
    }
    /// What is under way.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.local().join("journal")
    }
    /// New files before they are in place, and the old ones until that is whole.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.local().join("staging")
    }
    /// What runs: process id, start time, log.
    #[must_use]
    pub fn run(&self, slug: &Slug) -> PathBuf {
        self.local().join("run").join(slug.as_str())
    }
    /// A tool's packages, installed from the lock.
    #[must_use]
    pub fn packages(&self, slug: &Slug) -> PathBuf {
        self.local().join("packages").join(slug.as_str())
    }
    /// What was written into agents' configurations.
    #[must_use]
    pub fn ledger_file(&self) -> PathBuf {
        self.local().join("ledger.json")
    }
    /// Registries' indexes.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.local().join("cache")
    }
    /// `npx` and `uvx` as a plugin's scripts find them.
    #[must_use]
    pub fn shims(&self) -> PathBuf {
        self.local().join("shims")
    }
    /// User's versions of files that an upgrade or an install put aside.
    #[must_use]
    pub fn replaced(&self, slug: &Slug) -> PathBuf {
        self.local().join("replaced").join(slug.as_str())
    }
    /// The private age identity, outside of the repository.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.atelier.join("keys").join("tools.key")
    }
    /// A tool's backups.
    #[must_use]
    pub fn backups(&self, slug: &Slug) -> PathBuf {
        self.atelier.join("backups").join("tools").join(slug.as_str())
    }
}
