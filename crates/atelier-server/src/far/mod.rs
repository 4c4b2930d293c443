//! Far hosts, as this machine sees them: the services that are up there have addresses and names here,
//! and what comes to these goes through the connection.
//!
//! - `link` keeps up with one host.
//! - `doors` are the addresses of this machine that stand for services there.
//! - here: who is linked, and what a host name leads to.

mod doors;
mod link;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atelier_api::far::{FarLinked, FarService};
use atelier_api::{ExitCode, Name, Problem};
use atelier_config::Home;
use atelier_dns::{Record, Zone};
use atelier_ingress::{BoxFuture, Dial, Stream};
use atelier_run::Workshop;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use link::{Link, State};

/// How long a host may take to say what is up there.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every linked host.
#[derive(Debug)]
pub(crate) struct FarHosts {
    home: Home,
    build: String,
    program: PathBuf,
    workshop: Arc<Workshop>,
    zone: Zone,
    filled: Arc<Notify>,
    suffix: String,
    /// The port of this machine's own ingress.
    ingress: Option<u16>,
    stop: CancellationToken,
    links: Mutex<HashMap<Name, watch::Receiver<State>>>,
    table: Mutex<HashMap<String, Web>>,
}

/// What a host name of a web server on a far host leads to.
#[derive(Debug, Clone)]
struct Web {
    host: Name,
    door: doors::Door,
}

/// What the hosts need to know of their control plane.
pub(crate) struct Around {
    pub(crate) home: Home,
    pub(crate) build: String,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) zone: Zone,
    pub(crate) filled: Arc<Notify>,
    pub(crate) suffix: String,
    pub(crate) ingress: Option<u16>,
    pub(crate) stop: CancellationToken,
}

impl FarHosts {
    /// Nobody is linked yet.
    pub(crate) fn new(around: Around) -> Arc<Self> {
        let Around { home, build, workshop, zone, filled, suffix, ingress, stop } = around;
        let program = std::env::current_exe().ok().filter(|path| path.exists());
        let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let (links, table) = Default::default();
        Arc::new(Self {
            home,
            build,
            program,
            workshop,
            zone,
            filled,
            suffix,
            ingress,
            stop,
            links,
            table,
        })
    }

    /// Links a host, unless it is, and waits until it has said what is up there.
    ///
    /// # Errors
    /// Those of the connection; `far.silent`.
    pub(crate) async fn link(self: &Arc<Self>, host: &Name) -> Result<FarLinked, Problem> {
        let mut state = self.follow(host);
        let silent = || {
            let detail = format!(
                "{host} did not say within {} seconds what is up there",
                PATIENCE.as_secs()
            );
            Problem::new("far.silent", ExitCode::Engine, detail)
        };
        let known = state.wait_for(|state| !matches!(state, State::Unknown));
        let known = tokio::time::timeout(PATIENCE, known).await.map_err(|_| silent())?;
        let known = known.map_err(|_| silent())?.clone();
        match known {
            State::Known(services) => Ok(FarLinked { services: self.with_urls(services) }),
            State::Lost(problem) => Err(*problem),
            State::Unknown => Err(silent()),
        }
    }

    /// The state of a host; one that was lost for good is linked anew.
    fn follow(self: &Arc<Self>, host: &Name) -> watch::Receiver<State> {
        let mut links = lock(&self.links);
        if let Some(state) = links.get(host).filter(|state| state.has_changed().is_ok()) {
            return state.clone();
        }
        let (news, state) = watch::channel(State::Unknown);
        links.insert(host.clone(), state.clone());
        tokio::spawn(Link::new(self.clone(), host.clone(), news).keep());
        state
    }

    /// Whether the system finds names is known only at this moment.
    fn with_urls(&self, mut services: Vec<FarService>) -> Vec<FarService> {
        let resolves = self.workshop.resolves();
        for service in &mut services {
            service.resolves = resolves;
            if resolves && !service.urls.is_empty() && service.ports.contains(&80) {
                let name = service.names.first().cloned().unwrap_or_default();
                service.urls.insert(0, format!("http://{name}"));
            }
        }
        services
    }

    /// Makes a host's names lead to what is up there now. Names that this machine's own environments
    /// have, or another host's, stay theirs.
    fn publish(&self, host: &Name, doors: &[(doors::Door, FarService)]) {
        let mut records = Vec::new();
        let mut table = lock(&self.table);
        table.retain(|_, web| web.host != *host);
        for (door, service) in doors {
            let local = format!("{}.{}", service.service, service.env);
            let project = door.project();
            let local = format!("{local}.{project}.localhost");
            for name in service.names.iter().chain([&local]) {
                let taken = self.workshop.service_names().lookup(name, None).is_some();
                if taken || table.contains_key(name) {
                    continue;
                }
                let below = name.ends_with(&format!(".{}", self.suffix));
                records.extend(below.then(|| Record::new(name.clone(), [service.address])));
                table.insert(name.clone(), Web { host: host.clone(), door: door.clone() });
            }
        }
        drop(table);
        let some = !records.is_empty();
        match self.zone.set(&format!("far {host}"), records) {
            Ok(true) if some => self.filled.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, %host, "names that can't be served"),
        }
    }

    /// What a host name leads to, when it is that of a service on a far host.
    pub(crate) fn lookup(&self, name: &str) -> Option<(String, Arc<dyn Dial>)> {
        let web = lock(&self.table).get(name)?.clone();
        Some((format!("far:{}", web.host), Arc::new(ToIngress(web.door))))
    }
}

/// Opens connections to the ingress of a far host, which goes by host name as ours does.
struct ToIngress(doors::Door);

impl Dial for ToIngress {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.0.ingress()?) as Box<dyn Stream>) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
