//! What a sandbox is made of, as it is kept in the database: enough to start it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use atelier_api::env::Resources;
use atelier_api::sandbox::Rates;
use atelier_launch::WorkspaceMount;
use atelier_net::Policy;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Unique for ever; its folder has this name.
    pub id: Uuid,
    /// The runtime that isolates it.
    pub runtime: String,
    /// Its host name.
    pub hostname: String,
    /// What its files start from.
    #[serde(default)]
    pub root: Root,
    /// What appears in it on top of the runtime's own view.
    pub mounts: Vec<WorkspaceMount>,
    /// What its network lets through.
    pub policy: Policy,
    /// Its limits.
    pub resources: Resources,
    /// How fast its devices may be.
    #[serde(default)]
    pub rates: Rates,
    /// Groups of credentials that stay visible.
    pub grants: Vec<String>,
    /// Variables of every command in it.
    pub variables: BTreeMap<String, String>,
    /// The home folder of the user whose sandbox it is.
    #[serde(with = "atelier_launch::wire::path")]
    pub user_home: PathBuf,
}

/// What a sandbox's files start from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// This machine's own files.
    #[default]
    Machine,
    /// An image, by its id.
    Image(String),
}

/// The folders of one sandbox on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    root: PathBuf,
}

impl Folders {
    /// The folders below `sandboxes` of the sandbox `id`.
    #[must_use]
    pub fn of(sandboxes: &Path, id: Uuid) -> Self {
        Self { root: sandboxes.join(id.to_string()) }
    }
    /// The sandbox's own folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The guest's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("guest.sock")
    }
    /// The kept output of its commands; it counts towards the limit on disk.
    #[must_use]
    pub fn spool(&self, limits: &Resources) -> PathBuf {
        self.layers(limits).join("spool")
    }
    /// Where the network stack is told its policy and asked for its counters.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.root.join("net.sock")
    }
    /// What an image's sandbox changed, as a layer over it.
    #[must_use]
    pub fn upper(&self, limits: &Resources) -> PathBuf {
        self.layers(limits).join("view").join("root").join("upper")
    }
    /// Its `/etc/hosts`; there from the first start on.
    #[must_use]
    pub fn hosts(&self, limits: &Resources) -> PathBuf {
        self.layers(limits).join("view/files/hosts")
    }
    /// What launcher, guest and network stack said.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }
    /// Where its layers lie: in a filesystem of limited size, or beside the rest.
    #[must_use]
    pub fn layers(&self, limits: &Resources) -> PathBuf {
        self.root.join(if limits.disk.is_some() { "disk" } else { "layers" })
    }
}
