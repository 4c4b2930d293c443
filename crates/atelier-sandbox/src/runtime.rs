//! The small trait of every runtime, and the one list of those that there are. What a sandbox does
//! over its life is the fleet's business.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use atelier_api::sandbox::DeviceCounters;
use atelier_api::system::{Check, Verdict};
use atelier_guest::client::Guest;
use atelier_image::{Image, ImageStore};
use atelier_launch::Instance;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::runtimes::firecracker::FirecrackerRuntime;
use crate::runtimes::gvisor::GvisorRuntime;
use crate::runtimes::oci::OciRuntime;
use crate::runtimes::qemu::QemuRuntime;
use crate::spec::{Folders, SandboxSpec};
use crate::{HostRuntime, SandboxError};

/// A future that a trait object can give.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What isolates a sandbox. A driver is one file with a name, a probe that says in words what this
/// machine lacks, and a value of what it can do.
pub trait Runtime: Send + Sync + std::fmt::Debug {
    /// The name that users choose it by.
    fn name(&self) -> &'static str;
    /// What isolates its sandboxes, in a few words.
    fn isolation(&self) -> &'static str;
    /// What this machine has and lacks for it.
    fn probe(&self) -> Vec<Check>;
    /// Whether it needs programs that a machine need not have.
    fn is_extra(&self) -> bool {
        false
    }
    /// What this machine has and lacks for it, for somebody who did not ask for this runtime: that
    /// an extra one can't run is no failure of the machine.
    fn examine(&self) -> Vec<Check> {
        let mut checks = self.probe();
        for check in checks.iter_mut().filter(|check| check.verdict == Verdict::Failed) {
            if self.is_extra() {
                check.verdict = Verdict::Warning;
                check.detail =
                    format!("the runtime {} can't be used: {}", self.name(), check.detail);
            }
        }
        checks
    }
    /// Whether its sandboxes can mount overlays on this machine; it is tried.
    fn mounts_overlays(&self) -> bool {
        false
    }
    /// Removes what is kept to start sandboxes sooner, and was not used for so long; gives its bytes.
    /// It is made again when it is wanted.
    ///
    /// # Errors
    /// When a file can't be removed.
    fn prune(&self, _unused: Duration) -> Result<u64, SandboxError> {
        Ok(0)
    }
    /// What its sandboxes can do.
    fn capabilities(&self) -> Capabilities;
    /// Starts a sandbox and gives it when its guest answers. Its processes outlive the caller.
    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>>;

    /// The way into a sandbox of it that runs.
    fn guest(&self, folders: &Folders) -> Guest {
        Guest::new(folders.socket())
    }

    /// Stops every process where it is. Memory is kept.
    fn pause<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { freeze(target, true).await })
    }

    /// Lets a paused sandbox go on.
    fn resume<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { freeze(target, false).await })
    }

    /// What its devices did since it started, where a monitor counts that. A monitor that counts by
    /// itself is asked for what is newest only with `now`.
    fn devices<'a>(
        &'a self,
        _target: Target<'a>,
        _now: bool,
    ) -> BoxFuture<'a, Result<Option<DeviceCounters>, SandboxError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Why snapshots of its sandboxes hold no processes, where they hold none: it is looked at now.
    fn why_no_memory(&self) -> BoxFuture<'_, String> {
        Box::pin(std::future::ready("its processes are in this machine's kernel".to_owned()))
    }

    /// Saves a paused sandbox into the empty folder `into`, so that [`StartRequest::state`] starts
    /// copies of it: its files, unless they are [`Capabilities::layered`] and so frozen by the caller
    /// before it goes on; and with `memory` its processes too.
    fn save<'a>(
        &'a self,
        _target: Target<'a>,
        _into: &'a Path,
        _memory: bool,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        let runtime = self.name();
        let error = SandboxError::Unsupported {
            runtime,
            what: "save a sandbox",
            remedy: "use a sandbox of the runtime oci, gvisor, qemu or firecracker".into(),
        };
        Box::pin(std::future::ready(Err(error)))
    }
}

/// A sandbox that something is done to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The sandbox.
    pub spec: &'a SandboxSpec,
    /// Its folders.
    pub folders: &'a Folders,
    /// What runs; absent when it is stopped.
    pub running: Option<&'a Running>,
}

/// Stops what runs by this machine's own freezer, or lets it go on.
pub(crate) async fn freeze(target: Target<'_>, frozen: bool) -> Result<(), SandboxError> {
    let Some(running) = target.running else { return Ok(()) };
    let cgroup = running.cgroup.clone();
    let done = tokio::task::spawn_blocking(move || cgroup.set_frozen(frozen)).await;
    done.unwrap_or_else(|e| Err(SandboxError::io("freezing", "")(std::io::Error::other(e))))
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
    /// The image that it starts from, if it is made of one.
    pub image: Option<&'a Image>,
    /// Where images lie.
    pub images: &'a ImageStore,
    /// What [`Runtime::save`] wrote with its memory: the sandbox goes on from there.
    pub state: Option<&'a Path>,
}

/// What sandboxes of a runtime can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// They see this machine's own files, so they need no image.
    pub shares_host_files: bool,
    /// They have a kernel of their own.
    pub own_kernel: bool,
    /// They start from images.
    pub images: bool,
    /// Snapshots and forks of them hold processes and memory.
    pub memory_snapshots: bool,
    /// Their host name is saved with their processes, so that a copy has to be told its own.
    pub host_name_saved: bool,
    /// Their disks and networks can be held to a rate.
    pub rates: bool,
    /// What they change lies as one layer over their image, on this machine's own filesystem.
    pub layered: bool,
    /// They can have folders of this machine: what [`crate::SandboxSpec::mounts`] names.
    pub volumes: bool,
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

/// Every runtime that there is, for the home folder `home`. `criu` is where the runtime `oci` finds CRIU, if
/// it is not where programs are.
///
/// # Errors
/// When the guest can't be unpacked below `bin`.
pub fn runtimes(
    bin: &Path,
    home: &Path,
    criu: Option<&Path>,
) -> Result<Vec<Box<dyn Runtime>>, SandboxError> {
    Ok(vec![
        Box::new(HostRuntime::new(bin, home)?),
        Box::new(OciRuntime::new(bin, home, criu)?),
        Box::new(GvisorRuntime::new(bin)?),
        Box::new(QemuRuntime::new(bin, home)?),
        Box::new(FirecrackerRuntime::new(bin, home)?),
    ])
}
