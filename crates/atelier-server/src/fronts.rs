//! Who answers for names of services: the ingress at this machine's own address in an environment's
//! network, ports 80 and 443, and the name server.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use atelier_dns::{Record, Zone};
use atelier_ingress::{Ingress, TlsConfig};
use atelier_run::Front;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::names;

/// HTTP's port and that of HTTP over TLS.
const PORTS: [u16; 2] = [80, 443];
/// Connections that wait to be accepted.
const WAITING: i32 = 1024;

/// TLS that is made when the first environment needs it: it may have to make keys.
pub(crate) type LazyTls =
    LazyLock<Option<Arc<TlsConfig>>, Box<dyn FnOnce() -> Option<Arc<TlsConfig>> + Send>>;

/// The ingress in environments' networks, and the names' zone.
#[derive(Clone)]
pub(crate) struct Fronts {
    proxy: Arc<Ingress>,
    tls: Arc<LazyTls>,
    zone: Zone,
    filled: Arc<Notify>,
    open: Arc<Mutex<HashMap<Uuid, (IpAddr, CancellationToken)>>>,
}

impl std::fmt::Debug for Fronts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fronts").finish_non_exhaustive()
    }
}

impl Fronts {
    /// `filled` is told when there are names and were none before.
    pub(crate) fn new(proxy: Arc<Ingress>, tls: LazyTls, zone: Zone, filled: Arc<Notify>) -> Self {
        Self { proxy, tls: Arc::new(tls), zone, filled, open: Arc::default() }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (IpAddr, CancellationToken)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens; a user who may not use these ports has the services' own addresses instead.
    async fn listen(&self, environment: Uuid, at: IpAddr) -> Result<(), String> {
        if self.open().get(&environment).is_some_and(|(ip, _)| *ip == at) {
            return Ok(());
        }
        let [http, https] = PORTS.map(|port| SocketAddr::new(at, port));
        let plain = bind(http);
        let plain = plain.map_err(|error| format!("can't listen at {http}: {error}"))?;
        let stop = CancellationToken::new();
        tokio::spawn(self.proxy.clone().serve(plain, None, stop.clone()));
        if let Some(tls) = &**self.tls
            && let Ok(listener) = bind(https)
        {
            tokio::spawn(self.proxy.clone().serve(listener, Some(tls.clone()), stop.clone()));
        }
        if let Some((_, old)) = self.open().insert(environment, (at, stop)) {
            old.cancel();
        }
        Ok(())
    }
}

/// Listens at an address that may come only later: Podman makes a network's bridge when its first container
/// starts.
fn bind(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if at.is_ipv4() {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&at.into())?;
    socket.listen(WAITING)?;
    TcpListener::from_std(socket.into())
}

impl Front for Fronts {
    fn open(
        &self,
        environment: Uuid,
        at: IpAddr,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(self.listen(environment, at))
    }

    fn close(&self, environment: Uuid) {
        if let Some((_, stop)) = self.open().remove(&environment) {
            stop.cancel();
        }
    }

    fn publish(&self, environment: Uuid, records: Vec<(String, Vec<IpAddr>)>) {
        let owner = environment.to_string();
        let suffixes = self.zone.suffixes();
        let below = |name: &str| suffixes.iter().any(|s| name.ends_with(&format!(".{s}")));
        let records = records
            .into_iter()
            .filter(|(name, ips)| !ips.is_empty() && below(name))
            .map(|(name, ips)| Record::new(name, ips))
            .collect();
        let none_before = names::names(&self.zone) == 0;
        match self.zone.set(&owner, records) {
            Ok(true) if none_before => self.filled.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "names that can't be served"),
        }
    }
}
