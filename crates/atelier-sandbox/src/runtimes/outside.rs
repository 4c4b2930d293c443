//! Runtimes that are programs of their own: started beside a network stack by `atelier-guest
//! outside`, and reached through it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_guest::client::Guest;
use atelier_guest::outside::{LinkKind, OutsideRequest, Overlay};

use crate::SandboxError;
use crate::runtime::{Running, StartRequest};
use crate::runtimes::launcher;

/// The port that the guest serves on inside.
pub(super) const GUEST_PORT: u16 = 49983;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long is waited before the guest is asked again: at first this, then more each time.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A program to start.
pub(super) struct Program {
    /// What runtime it is.
    pub(super) runtime: &'static str,
    /// The program and its arguments.
    pub(super) words: Vec<OsString>,
    /// How it is joined to the network.
    pub(super) link: LinkKind,
    /// The MTU of the link, when it is not the kind's own.
    pub(super) mtu: Option<u16>,
    /// Whether it gets no huge pages.
    pub(super) small_pages: bool,
    /// What is mounted for it.
    pub(super) overlay: Option<Overlay>,
    /// The file in which it leaves the id of the process that counts.
    pub(super) pid_file: Option<PathBuf>,
    /// The folder that it starts in, if that is not the sandbox's.
    pub(super) cwd: Option<PathBuf>,
}

/// Starts it.
pub(super) async fn start(
    program: Program,
    guest: &Path,
    request: StartRequest<'_>,
) -> Result<Running, SandboxError> {
    let folder = request.folders.root();
    let input = OutsideRequest {
        dir: folder.to_owned(),
        cgroups: request.cgroup.dirs.clone(),
        link: program.link,
        mtu: program.mtu,
        // Whoever opens the device itself has a guest that is reached by vsock.
        guest_port: (program.link != LinkKind::Wire).then_some(GUEST_PORT),
        policy: request.spec.policy.clone(),
        // Whoever opens the device itself holds it to its rate too.
        rate: request.spec.rates.network_bandwidth.filter(|_| program.link != LinkKind::Wire),
        program: program.words.into_iter().map(PathBuf::from).collect(),
        env: BTreeMap::from([("PATH".into(), PATH.into()), ("HOME".into(), "/".into())]),
        cwd: program.cwd.unwrap_or_else(|| folder.to_owned()),
        pid_file: program.pid_file,
        overlay: program.overlay,
        small_pages: program.small_pages,
        parent: std::process::id(),
    };
    launcher::run(program.runtime, guest, "outside", &input, request).await
}

/// Waits until the guest answers; ends what was started when it does not.
pub(super) async fn answered(
    runtime: &'static str,
    guest: &Guest,
    running: Running,
    request: StartRequest<'_>,
    limit: Duration,
) -> Result<Running, SandboxError> {
    let until = tokio::time::Instant::now() + limit;
    let mut pause = PAUSE;
    loop {
        let asked = tokio::time::timeout(Duration::from_secs(2), guest.health()).await;
        if matches!(asked, Ok(Ok(()))) {
            return Ok(running);
        }
        let over = tokio::time::Instant::now() > until;
        if over || !running.instance.is_alive() {
            let _ = running.instance.kill();
            let why = if over { "its guest does not answer" } else { "it ended while it started" };
            return Err(failed(runtime, why, request));
        }
        tokio::time::sleep(pause).await;
        pause = (pause + PAUSE).min(LONGEST_PAUSE);
    }
}

/// An error with the last lines of the sandbox's log.
pub(super) fn failed(runtime: &'static str, why: &str, request: StartRequest<'_>) -> SandboxError {
    let log = std::fs::read(request.folders.log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let last = log.lines().rev().filter(|line| !line.trim().is_empty()).take(3);
    let last = last.collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("; ");
    launcher::failed(runtime, &format!("{why}: {last}"))
}
