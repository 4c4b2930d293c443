//! Who answers for names of services: the ingress at this machine's own address in an environment's
//! network, ports 80 and 443, and the name server.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use atelier_dns::{Record, Server, Zone};
use atelier_ingress::{Ingress, TlsConfig};
use atelier_run::Front;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// HTTP's port and that of HTTP over TLS.
const PORTS: [u16; 2] = [80, 443];

/// The ingress in environments' networks, and the names' zone.
#[derive(Clone)]
pub(crate) struct Fronts {
    proxy: Arc<Ingress>,
    tls: Option<Arc<TlsConfig>>,
    zone: Zone,
    open: Arc<Mutex<HashMap<Uuid, (IpAddr, CancellationToken)>>>,
}

impl std::fmt::Debug for Fronts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fronts").finish_non_exhaustive()
    }
}

impl Fronts {
    pub(crate) fn new(proxy: Arc<Ingress>, tls: Option<Arc<TlsConfig>>, zone: Zone) -> Self {
        Self { proxy, tls, zone, open: Arc::default() }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (IpAddr, CancellationToken)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens; a user who may not use these ports has the services' own addresses instead.
    async fn listen(&self, environment: Uuid, at: IpAddr) -> bool {
        if self.open().get(&environment).is_some_and(|(ip, _)| *ip == at) {
            return true;
        }
        let [http, https] = PORTS.map(|port| SocketAddr::new(at, port));
        let plain = match TcpListener::bind(http).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::debug!(%error, %at, "no ingress in this network");
                return false;
            }
        };
        let stop = CancellationToken::new();
        tokio::spawn(self.proxy.clone().serve(plain, None, stop.clone()));
        if let Some(tls) = &self.tls
            && let Ok(listener) = TcpListener::bind(https).await
        {
            tokio::spawn(self.proxy.clone().serve(listener, Some(tls.clone()), stop.clone()));
        }
        if let Some((_, old)) = self.open().insert(environment, (at, stop)) {
            old.cancel();
        }
        true
    }
}

impl Front for Fronts {
    fn open(
        &self,
        environment: Uuid,
        at: IpAddr,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
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
        if let Err(error) = self.zone.set(&owner, records) {
            tracing::warn!(%error, "names that can't be served");
        }
    }
}

/// Serves names; a port that is taken is said and done without.
pub(crate) async fn serve_names(zone: &Zone, listen: Option<SocketAddr>) -> Option<Server> {
    let options = atelier_dns::Options { listen: vec![listen?], ..atelier_dns::Options::default() };
    match Server::start(zone.clone(), options).await {
        Ok(server) => {
            tracing::info!(at = ?server.addresses(), "name server");
            Some(server)
        }
        Err(error) => {
            tracing::warn!(%error, "no names of services are served");
            None
        }
    }
}
