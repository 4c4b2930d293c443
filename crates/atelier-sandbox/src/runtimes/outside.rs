//! Runtimes that are programs of their own: started beside a network stack by `atelier-guest
//! outside`, and reached through it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_guest::client::Guest;
use atelier_guest::outside::{LinkKind, OutsideRequest};

use crate::SandboxError;
use crate::runtime::{Running, StartRequest};
use crate::runtimes::launcher;

/// The port that the guest serves on inside.
pub(super) const GUEST_PORT: u16 = 49983;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PAUSE: Duration = Duration::from_millis(5);

/// A program to start.
pub(super) struct Program {
    /// What runtime it is.
    pub(super) runtime: &'static str,
    /// The program and its arguments.
    pub(super) words: Vec<OsString>,
    /// How it is joined to the network.
    pub(super) link: LinkKind,
    /// The file in which it leaves the id of the process that counts.
    pub(super) pid_file: Option<PathBuf>,
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
        mtu: None,
        guest_port: Some(GUEST_PORT),
        policy: request.spec.policy.clone(),
        program: program.words.into_iter().map(PathBuf::from).collect(),
        env: BTreeMap::from([("PATH".into(), PATH.into()), ("HOME".into(), "/".into())]),
        cwd: folder.to_owned(),
        pid_file: program.pid_file,
        parent: std::process::id(),
    };
    launcher::run(program.runtime, guest, "outside", &input, request).await
}

/// Waits until the guest answers; ends what was started when it does not.
pub(super) async fn answered(
    runtime: &'static str,
    running: Running,
    request: StartRequest<'_>,
    limit: Duration,
) -> Result<Running, SandboxError> {
    let guest = Guest::new(request.folders.socket());
    let until = tokio::time::Instant::now() + limit;
    loop {
        let asked = tokio::time::timeout(Duration::from_secs(2), guest.health()).await;
        if matches!(asked, Ok(Ok(()))) {
            return Ok(running);
        }
        let over = tokio::time::Instant::now() > until;
        if over || !running.instance.is_alive() {
            let _ = running.instance.kill();
            let why = if over { "its guest does not answer" } else { "it ended while it started" };
            let log = std::fs::read_to_string(request.folders.log()).unwrap_or_default();
            let last = log.lines().rev().take(3).collect::<Vec<_>>();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("; ");
            return Err(launcher::failed(runtime, &format!("{why}: {last}")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
