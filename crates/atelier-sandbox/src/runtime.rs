//! The small trait of every runtime, and the one list of those that there are.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use atelier_api::system::Check;
use atelier_launch::Instance;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::spec::{Folders, SandboxSpec};
use crate::{HostRuntime, SandboxError};

/// A future that a trait object can give.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What isolates a sandbox. A driver is one file with a name, a probe that says in words what this
/// machine lacks, and a value of what it can do.
pub trait Runtime: Send + Sync + std::fmt::Debug {
    /// The name that users choose it by.
    fn name(&self) -> &'static str;
    /// What this machine has and lacks for it.
    fn probe(&self) -> Vec<Check>;
    /// Whether its sandboxes can mount overlays on this machine; it is tried.
    fn mounts_overlays(&self) -> bool;
    /// What its sandboxes can do.
    fn capabilities(&self) -> Capabilities;
    /// Starts a sandbox and gives it when its guest answers. Its processes outlive the caller.
    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>>;
}

/// What a start needs.
#[derive(Debug, Clone, Copy)]
pub struct StartRequest<'a> {
    /// The sandbox.
    pub spec: &'a SandboxSpec,
    /// Its folders.
    pub folders: &'a Folders,
    /// Its control group, with limits set.
    pub cgroup: &'a Cgroup,
    /// The home folder, which stays hidden inside.
    pub home: &'a Path,
}

/// What sandboxes of a runtime can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// They see this machine's own files, so they need no image.
    pub shares_host_files: bool,
    /// They have a kernel of their own.
    pub own_kernel: bool,
}

/// A sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its processes: when the first ends, all of the sandbox has ended.
    pub instance: Instance,
    /// Its control group.
    pub cgroup: Cgroup,
    /// What is different from the usual, a sentence each.
    pub notes: Vec<String>,
}

/// Every runtime that there is, for the home folder `home`.
///
/// # Errors
/// When the guest can't be unpacked below `bin`.
pub fn runtimes(bin: &Path, home: &Path) -> Result<Vec<Box<dyn Runtime>>, SandboxError> {
    Ok(vec![Box::new(HostRuntime::new(bin, home)?)])
}
