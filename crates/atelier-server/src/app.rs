//! What every call can reach.

use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::HostPath;
use atelier_api::system::Status;
use atelier_auth::{Audit, LocalKey, Tokens};
use atelier_ingress::Ingress;
use atelier_run::Workshop;
use atelier_sandbox::Fleet;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::far::FarHosts;
use crate::metrics::Calls;
use crate::names::NameServer;
use crate::upstreams;

/// The control plane.
pub(crate) struct App {
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) tokens: Tokens,
    /// Carries requests to sandboxes and environments.
    pub(crate) proxy: Arc<Ingress>,
    /// The domain of sandboxes.
    pub(crate) domain: String,
    /// What stands behind `PORT-ID.` in the names of sandboxes, where they are served.
    pub(crate) sandbox_domain: Option<String>,
    /// Where files for templates are kept until they are built.
    pub(crate) uploads: PathBuf,
    pub(crate) audit: Audit,
    /// How often operations were called, and how long they took.
    pub(crate) calls: Calls,
    pub(crate) key: LocalKey,
    /// Version and build: a client of another build is asked to restart us.
    pub(crate) build: String,
    pub(crate) home: PathBuf,
    pub(crate) listen: Option<String>,
    pub(crate) ingress: Option<String>,
    pub(crate) tls: Option<String>,
    pub(crate) ssh: Option<String>,
    /// The server that answers for names of services.
    pub(crate) names: Arc<NameServer>,
    /// Services on other machines.
    pub(crate) far: Arc<FarHosts>,
    pub(crate) started_at: Timestamp,
    /// Cancelled when the control plane is to stop.
    pub(crate) stop: CancellationToken,
    /// Sessions under way: they end at a stop, and the state is not closed before they have.
    pub(crate) sessions: TaskTracker,
    /// The user that it runs as, and that may call it.
    pub(crate) owner: u32,
}

impl App {
    /// The host name of a sandbox's guest.
    pub(crate) fn guest_host(&self, id: uuid::Uuid) -> String {
        format!("{}-{}.{}", upstreams::GUEST_PORT, id.simple(), self.domain)
    }

    pub(crate) async fn status(&self) -> Result<Status, atelier_api::Problem> {
        Ok(Status {
            version: self.build.clone(),
            pid: std::process::id(),
            started_at: self.started_at,
            home: HostPath(self.home.clone()),
            listen: self.listen.clone(),
            ingress: self.ingress.clone(),
            tls: self.tls.clone(),
            ssh: self.ssh.clone(),
            domain: self.sandbox_domain.clone(),
            dns: self.names.address().await.map(|at| at.to_string()),
            suffix: Some(self.names.suffix().to_owned()),
            environments: self.workshop.counts().await?,
            memory_bytes: resident_bytes(),
            jobs: self.workshop.jobs().await?,
        })
    }
}

/// Resident memory: the second field of `/proc/self/statm`, in pages.
pub(crate) fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    let page =
        nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    pages * page.cast_unsigned()
}
