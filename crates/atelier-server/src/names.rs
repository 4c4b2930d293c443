//! The name server while it runs: it follows the hook in this machine's resolver, and finds out whether
//! the system asks it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_api::Problem;
use atelier_api::hostname::DnsReport;
use atelier_dns::hook::{self, System};
use atelier_dns::{Options, Record, Server, Zone};
use atelier_run::{PROBE, Workshop};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the system asks us.
const EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether the hook was changed: until we follow, names of others may not be found.
const GLANCE: Duration = Duration::from_secs(2);
/// How long the system may take to find a name.
const PATIENCE: Duration = Duration::from_secs(5);
/// The owner of our own names.
const OWNER: &str = "atelier";

/// The name server of a control plane.
#[derive(Debug)]
pub(crate) struct NameServer {
    zone: Zone,
    suffix: String,
    listen: Option<SocketAddr>,
    probe: String,
    state: Mutex<State>,
    filled: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<Server>,
    forward: Vec<SocketAddr>,
    /// Why it does not run.
    problem: Option<String>,
}

impl NameServer {
    /// Starts it; a port that is taken is said and done without, and tried again later.
    pub(crate) async fn start(suffix: &str, listen: Option<SocketAddr>) -> Result<Self, Problem> {
        let zone = Zone::new([suffix])?;
        // One that no other control plane of this machine answers for, whoever the system asks.
        let probe = format!("{}.{PROBE}.{suffix}", uuid::Uuid::now_v7().simple());
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let own = [format!("{PROBE}.{suffix}"), probe.clone()];
        zone.set(OWNER, own.map(|name| Record::new(name, [here])).into())?;
        let (suffix, filled) = (suffix.to_owned(), Arc::default());
        let this = Self { zone, suffix, listen, probe, state: Mutex::default(), filled };
        this.follow().await;
        Ok(this)
    }

    /// The records that it answers with.
    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Told when there are names and were none before.
    pub(crate) fn filled(&self) -> Arc<Notify> {
        self.filled.clone()
    }

    /// What its names end with.
    pub(crate) fn suffix(&self) -> &str {
        &self.suffix
    }

    /// Where it listens.
    pub(crate) async fn address(&self) -> Option<SocketAddr> {
        self.state.lock().await.address()
    }

    /// Ends it.
    pub(crate) async fn stop(&self) {
        if let Some(server) = self.state.lock().await.server.take() {
            server.stop().await;
        }
    }

    /// Keeps up with the hook and tells the workshop whether names are found, until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, workshop: Arc<Workshop>, stop: CancellationToken) {
        let keeping = async {
            let (mut seen, mut due) = (None, Instant::now());
            loop {
                let hook = mark();
                // Where there are no names, nobody's resolver need be asked for one.
                if hook != seen || (due <= Instant::now() && names(&self.zone) > 0) {
                    self.report(&workshop).await;
                    (seen, due) = (hook, Instant::now() + EVERY);
                }
                tokio::select! {
                    () = tokio::time::sleep(GLANCE) => {}
                    () = self.filled.notified() => due = Instant::now(),
                }
            }
        };
        tokio::select! {
            () = keeping => {}
            () = stop.cancelled() => {}
        }
    }

    /// How it is now. It is looked at the hook for this, and asked the system.
    pub(crate) async fn report(&self, workshop: &Workshop) -> DnsReport {
        self.follow().await;
        let (server, forward, problem) = {
            let state = self.state.lock().await;
            (state.address(), state.forward.clone(), state.problem.clone())
        };
        let resolves = server.is_some() && found(&self.probe).await;
        workshop.set_resolves(resolves);
        DnsReport {
            server: server.map(|at| at.to_string()),
            problem,
            suffix: self.suffix.clone(),
            names: names(&self.zone),
            probe: self.probe.clone(),
            resolves,
            forward: forward.iter().map(ToString::to_string).collect(),
        }
    }

    /// Sees to it that it listens, and passes on what the hook says that it must.
    async fn follow(&self) {
        let Some(listen) = self.listen else { return };
        let mut state = self.state.lock().await;
        let at = state.address().unwrap_or(listen);
        let forward = forward(at).await;
        if state.server.is_some() && state.forward == forward {
            return;
        }
        if let Some(server) = state.server.take() {
            server.stop().await;
        }
        let options = Options { listen: vec![at], forward: forward.clone(), ..Options::default() };
        match Server::start(self.zone.clone(), options).await {
            Ok(server) => {
                tracing::info!(at = ?server.addresses(), ?forward, "name server");
                *state = State { server: Some(server), forward, problem: None };
            }
            Err(error) => {
                let said = error.to_string();
                if state.problem.as_ref() != Some(&said) {
                    tracing::warn!(%error, "no names of services are served");
                }
                state.problem = Some(said);
            }
        }
    }
}

impl State {
    fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().and_then(|server| server.addresses().first().copied())
    }
}

/// To whom the server at an address must pass questions on: the hook may have left the system nobody
/// else to ask.
async fn forward(at: SocketAddr) -> Vec<SocketAddr> {
    let read = move || {
        let status = hook::status(&System::here(at, [""; 0])).ok()?;
        (status.server == Some(at)).then_some(status.forward)
    };
    let read = tokio::task::spawn_blocking(read).await.ok().flatten();
    read.unwrap_or_default().into_iter().filter(|to| *to != at).collect()
}

/// What is different when the hook was changed.
fn mark() -> Option<(u64, i64, i64)> {
    let file = std::fs::metadata(System::here(([127, 0, 0, 1], 53).into(), [""; 0]).state).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec()))
}

/// How many names there are besides our own.
pub(crate) fn names(zone: &Zone) -> u64 {
    let owners = zone.snapshot().owners;
    owners.iter().filter(|(owner, _)| *owner != OWNER).map(|(_, all)| all.len() as u64).sum()
}

/// Whether the system's resolver finds our name.
async fn found(name: &str) -> bool {
    let look = tokio::net::lookup_host((name, 0));
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(mut all)) => all.any(|at| at.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_own_names_are_there_and_do_not_count() {
        let server = NameServer::start("test", Some("127.0.0.1:0".parse().unwrap())).await.unwrap();
        assert_ne!(server.address().await.unwrap().port(), 0);
        assert_eq!(names(server.zone()), 0);
        let own = &server.zone().snapshot().owners[OWNER];
        let names: Vec<&str> = own.iter().map(Record::name).collect();
        assert!(names.contains(&"atelier-probe.test") && names.contains(&server.probe.as_str()));
        let more = vec![Record::new("api.agent-1.test", ["192.0.2.1".parse().unwrap()])];
        server.zone().set("an environment", more).unwrap();
        assert_eq!(super::names(server.zone()), 1);
        server.stop().await;
        assert_eq!(server.address().await, None);
    }

    #[tokio::test]
    async fn a_port_that_was_taken_is_had_when_it_is_free() {
        let taken = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = taken.local_addr().unwrap();
        let server = NameServer::start("test", Some(at)).await.unwrap();
        assert_eq!(server.address().await, None);
        assert!(server.state.lock().await.problem.is_some());
        drop(taken);
        server.follow().await;
        assert_eq!(server.address().await, Some(at));
        assert!(server.state.lock().await.problem.is_none());
    }

    #[tokio::test]
    async fn a_name_is_found_by_the_system_or_not() {
        assert!(found("localhost").await);
        assert!(!found("no-such-name.invalid").await);
    }
}
