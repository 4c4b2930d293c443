//! Launches by the guest's binary: the work is done in a process of its own (`atelier-guest launch`),
//! since namespaces belong to processes and this one has threads. What is launched is a runtime's
//! business.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use atelier_guest::host::{LaunchRequest, SPOOL};
use atelier_launch::{
    LaunchSpec, MountSource, Network, Report, RootSource, Saving, Started, WorkspaceMount,
};
use atelier_net::Mode;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::SandboxError;
use crate::runtime::{Running, StartRequest};
use crate::runtimes::oci::BOOT_ID;

/// Far beyond the few milliseconds that a launch takes, and short of a person's patience.
const LIMIT: Duration = Duration::from_secs(30);
/// Memory that was saved is read back.
const RESTORE_LIMIT: Duration = Duration::from_secs(600);

/// Launches a sandbox with this root.
pub(super) async fn launch(
    runtime: &'static str,
    guest: &Path,
    root: RootSource,
    saving: Option<Saving>,
    request: StartRequest<'_>,
) -> Result<Running, SandboxError> {
    let spool = request.folders.spool(&request.spec.resources);
    fs::create_dir_all(&spool).map_err(SandboxError::io("making", &spool))?;
    run(runtime, guest, "launch", &launch_request(request, root, saving), request).await
}

/// Runs one of the guest's launchers with a request on its standard input.
pub(super) async fn run(
    runtime: &'static str,
    guest: &Path,
    job: impl AsRef<OsStr>,
    input: &impl Serialize,
    request: StartRequest<'_>,
) -> Result<Running, SandboxError> {
    let failed = |reason: &dyn std::fmt::Display| failed(runtime, reason);
    let input = serde_json::to_vec(input).map_err(|e| failed(&e))?;
    let mut child = Command::new(guest)
        .arg(job)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log(&request.folders.log())?)
        .kill_on_drop(true)
        .spawn()
        .map_err(SandboxError::io("running", guest))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&input).await.map_err(|e| failed(&e))?;
    }
    let limit = if request.state.is_some() { RESTORE_LIMIT } else { LIMIT };
    let late = || format!("the launcher did not finish within {} seconds", limit.as_secs());
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .map_err(|_| failed(&late()))?
        .map_err(|e| failed(&e))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Report::Started(started)) => Ok(running(started, request)),
        Ok(Report::Failed(error)) => Err(SandboxError::Start {
            runtime,
            reason: error.to_string(),
            remedy: (!error.hints.is_empty()).then(|| error.hints.join("; ")),
        }),
        Err(_) => Err(failed(&format!(
            "the launcher ended with {} and said nothing; see {}",
            output.status,
            request.folders.log().display()
        ))),
    }
}

fn launch_request(
    request: StartRequest<'_>,
    root: RootSource,
    saving: Option<Saving>,
) -> LaunchRequest {
    let StartRequest { spec, folders, cgroup, home, .. } = request;
    let mut mounts = spec.mounts.clone();
    mounts.push(WorkspaceMount {
        target: SPOOL.into(),
        source: MountSource::Bind { source: folders.spool(&spec.resources), readonly: false },
    });
    if matches!(root, RootSource::Image { .. }) {
        mounts.push(WorkspaceMount {
            target: "/proc/sys/kernel/random/boot_id".into(),
            source: MountSource::Bind { source: folders.root().join(BOOT_ID), readonly: true },
        });
    }
    let launch = LaunchSpec {
        id: spec.id.to_string(),
        root,
        saving,
        id_base: None,
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

pub(super) fn failed(runtime: &'static str, reason: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Start { runtime, reason: reason.to_string(), remedy: None }
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
