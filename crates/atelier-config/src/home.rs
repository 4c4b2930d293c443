//! Where everything lies below `ATELIER_HOME`. No other file spells these names.

use std::path::{Path, PathBuf};

/// The home folder of one Atelier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home at `root`, an absolute path; nothing is made.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The user's settings.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.root.join("config.yaml")
    }
    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("state.db")
    }
    /// The control plane's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("atelier.sock")
    }
    /// Where network stacks of sandboxes give connections to the control plane.
    #[must_use]
    pub fn egress_socket(&self) -> PathBuf {
        self.root.join("egress.sock")
    }
    /// Held by the control plane that serves this home.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("serve.lock")
    }
    /// Where a control plane that was started in the background writes its log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.root.join("serve.log")
    }
    /// Keys: what must never be shared.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }
    /// The key that calls over TCP carry.
    #[must_use]
    pub fn api_key(&self) -> PathBuf {
        self.keys().join("api")
    }
    /// Programs that the binary carries within it.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }
    /// Frozen copies of projects.
    #[must_use]
    pub fn bases(&self) -> PathBuf {
        self.root.join("bases")
    }
    /// Environments: a folder each, named by id.
    #[must_use]
    pub fn environments(&self) -> PathBuf {
        self.root.join("envs")
    }
    /// Sandboxes: a folder each, named by id.
    #[must_use]
    pub fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }
    /// Images, by what is in them.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }
    /// Saved states of sandboxes.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
    /// Volumes of sandboxes: a folder each, named by id.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }
    /// Data that environments' services start with: a folder for each project.
    #[must_use]
    pub fn seeds(&self) -> PathBuf {
        self.root.join("seeds")
    }
    /// Machines that SSH reaches, by the names that the user gave them.
    #[must_use]
    pub fn hosts_file(&self) -> PathBuf {
        self.root.join("hosts.json")
    }
    /// What is kept for them: connections, names, what was applied.
    #[must_use]
    pub fn far(&self) -> PathBuf {
        self.root.join("far")
    }
    /// Files that were sent for templates, until they are built.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }
}
