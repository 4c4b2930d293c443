//! The runtime `host`: namespaces over a private copy-on-write view of this machine's own files.
//! Needs no daemon, no image and no KVM. The work is done by the launcher in a process of its own
//! (`atelier-guest launch`), since namespaces belong to processes and this one has threads.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use atelier_api::system::{Check, Verdict};
use atelier_guest::host::{LaunchRequest, SPOOL};
use atelier_launch::{LaunchSpec, MountSource, Network, Report, Started, WorkspaceMount};
use atelier_net::Mode;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest};
use crate::{SandboxError, guest_binary};

/// Far beyond the few milliseconds that a launch takes, and short of a person's patience.
const LAUNCH_LIMIT: Duration = Duration::from_secs(30);

/// The driver.
#[derive(Debug)]
pub struct HostRuntime {
    guest: PathBuf,
    home: PathBuf,
}

impl HostRuntime {
    /// Unpacks the guest below `bin`. Trials of the probe are made in `home`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path, home: &Path) -> Result<Self, SandboxError> {
        Ok(Self { guest: guest_binary::unpack(bin)?, home: home.to_owned() })
    }

    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let folders = request.folders;
        let spool = folders.spool(&request.spec.resources);
        fs::create_dir_all(&spool).map_err(SandboxError::io("making", &spool))?;
        let input = serde_json::to_vec(&launch_request(request)).map_err(|e| failed(&e))?;
        let mut child = Command::new(&self.guest)
            .arg("launch")
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(&folders.log())?)
            .kill_on_drop(true)
            .spawn()
            .map_err(SandboxError::io("running", &self.guest))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&input).await.map_err(|e| failed(&e))?;
        }
        let output = tokio::time::timeout(LAUNCH_LIMIT, child.wait_with_output())
            .await
            .map_err(|_| failed(&"the launcher did not finish within 30 seconds"))?
            .map_err(|e| failed(&e))?;
        match serde_json::from_slice(&output.stdout) {
            Ok(Report::Started(started)) => Ok(running(started, request)),
            Ok(Report::Failed(error)) => Err(SandboxError::Start {
                runtime: "host",
                reason: error.to_string(),
                remedy: (!error.hints.is_empty()).then(|| error.hints.join("; ")),
            }),
            Err(_) => Err(failed(&format!(
                "the launcher ended with {} and said nothing; see {}",
                output.status,
                folders.log().display()
            ))),
        }
    }
}

impl Runtime for HostRuntime {
    fn name(&self) -> &'static str {
        "host"
    }

    fn probe(&self) -> Vec<Check> {
        atelier_launch::probe(&self.home).into_iter().map(check).collect()
    }

    fn mounts_overlays(&self) -> bool {
        atelier_launch::probe(&self.home).iter().any(|check| check.name == "overlay" && check.ok)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shares_host_files: true, own_kernel: false }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }
}

fn check(found: atelier_launch::Check) -> Check {
    Check {
        name: found.name,
        verdict: if found.ok { Verdict::Ok } else { Verdict::Failed },
        detail: found.detail,
        remedy: (!found.remedy.is_empty()).then_some(found.remedy),
        fixable: false,
    }
}

fn launch_request(request: StartRequest<'_>) -> LaunchRequest {
    let StartRequest { spec, folders, cgroup, home } = request;
    let mut mounts = spec.mounts.clone();
    mounts.push(WorkspaceMount {
        target: SPOOL.into(),
        source: MountSource::Bind { source: folders.spool(&spec.resources), readonly: false },
    });
    let launch = LaunchSpec {
        id: spec.id.to_string(),
        dir: folders.root().to_owned(),
        home: home.to_owned(),
        hostname: spec.hostname.clone(),
        layers_dir: folders.layers(&spec.resources).join("view"),
        mounts,
        cgroups: cgroup.dirs.clone(),
        network: if spec.policy.mode == Mode::None { Network::None } else { Network::Tun },
        grants: spec.grants.clone(),
        hide_extra: Vec::new(),
        user_home: spec.user_home.clone(),
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        seccomp: true,
    };
    LaunchRequest { launch, policy: spec.policy.clone(), parent: std::process::id() }
}

fn running(started: Started, request: StartRequest<'_>) -> Running {
    Running { instance: started.instance, cgroup: request.cgroup.clone(), notes: started.notes }
}

fn failed(reason: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Start { runtime: "host", reason: reason.to_string(), remedy: None }
}

/// The sandbox's log, emptied at each start.
fn log(path: &Path) -> Result<File, SandboxError> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(SandboxError::io("making", path))
}
