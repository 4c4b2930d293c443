//! Addresses of this machine that stand for services on a far host. Each service has one of its own in
//! 127.64.0.0/10, so that its ports keep their numbers whatever others have.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use atelier_api::far::FarService;
use atelier_api::service::{ServiceView, Services};
use atelier_api::{HostPath, Name};
use atelier_far::Far;
use sha2::{Digest, Sha256};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// HTTP's port.
const HTTP: u16 = 80;
/// How many addresses are tried: another home's control plane may have one.
const TRIES: u32 = 8;

/// A service on a far host.
#[derive(Debug, Clone)]
pub(super) struct Door {
    far: Arc<Far>,
    host: Name,
    root: HostPath,
    env: Name,
    project: String,
    service: String,
    http: bool,
    ports: Vec<u16>,
}

/// What listens for a service, as long as it is kept.
#[derive(Debug)]
struct Open {
    door: Door,
    address: IpAddr,
    ports: Vec<u16>,
    _listeners: DropGuard,
}

/// The doors of one host.
#[derive(Debug, Default)]
pub(super) struct Doors(HashMap<String, Open>);

impl Door {
    pub(super) fn new(
        far: Arc<Far>,
        host: &Name,
        root: &HostPath,
        services: &Services,
        view: &ServiceView,
    ) -> Self {
        Self {
            far,
            host: host.clone(),
            root: root.clone(),
            env: services.env.clone(),
            project: services.project.clone(),
            service: view.name.clone(),
            http: view.url.is_some(),
            ports: view.ports.clone(),
        }
    }

    /// What tells it from others of the same host, and from itself with other ports.
    pub(super) fn key(&self) -> String {
        let Self { root, env, service, ports, http, .. } = self;
        format!("{} {env} {service} {ports:?} {http}", root.as_path().display())
    }

    /// The project's name.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// Whether it has a web server.
    pub(super) const fn speaks_http(&self) -> bool {
        self.http
    }

    /// A connection to the host's ingress, which goes by host name.
    pub(super) fn ingress(&self) -> io::Result<UnixStream> {
        self.stream(&["dial", "ingress"])
    }

    fn port(&self, port: u16) -> io::Result<UnixStream> {
        let (root, port) = (self.root.as_path().to_string_lossy(), port.to_string());
        let (env, service) = (self.env.as_str(), self.service.as_str());
        self.stream(&["dial", "service", "--project", &root, env, service, &port])
    }

    fn stream(&self, arguments: &[&str]) -> io::Result<UnixStream> {
        let stream = self.far.ssh.stream(&self.far.command(arguments))?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }

    /// The address that it has here, unless somebody else has it: the same each time.
    fn address(&self, attempt: u32) -> IpAddr {
        let Self { host, root, env, service, .. } = self;
        let text = format!("{host} {} {env} {service} {attempt}", root.as_path().display());
        let hash = Sha256::digest(text.as_bytes());
        // Neither 0 nor 255, which some programs take for something else.
        let last = 1 + hash[2] % 254;
        IpAddr::V4(Ipv4Addr::new(127, 64 + hash[0] % 64, hash[1], last))
    }

    /// Listens for it. Ports that this user may not have are left out.
    async fn open(self) -> Option<Open> {
        for attempt in 0..TRIES {
            let address = self.address(attempt);
            let Ok((listeners, ports)) = self.listen(address).await else { continue };
            let stop = CancellationToken::new();
            for (listener, port) in listeners {
                tokio::spawn(serve(listener, self.clone(), port, stop.clone()));
            }
            let listeners = stop.drop_guard();
            return Some(Open { door: self, address, ports, _listeners: listeners });
        }
        tracing::warn!(service = self.service, host = %self.host, "no address for it");
        None
    }

    /// Every port of it, and HTTP's when it speaks HTTP at another one.
    async fn listen(&self, ip: IpAddr) -> io::Result<(Vec<(TcpListener, Option<u16>)>, Vec<u16>)> {
        let mut listeners = Vec::new();
        let mut ports = Vec::new();
        let own = self.ports.iter().map(|port| (*port, Some(*port)));
        let front = (self.http && !self.ports.contains(&HTTP)).then_some((HTTP, None));
        for (port, to) in own.chain(front) {
            match TcpListener::bind(SocketAddr::new(ip, port)).await {
                Ok(listener) => {
                    listeners.push((listener, to));
                    ports.push(port);
                }
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
                Err(e) => return Err(e),
            }
        }
        Ok((listeners, ports))
    }
}

/// Passes connections on until `stop`. Without a port they go to the host's ingress.
async fn serve(listener: TcpListener, door: Door, port: Option<u16>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((mut near, _)) = accepted else {
            // Too many files are open; some will be closed.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = near.set_nodelay(true);
        let far = port.map_or_else(|| door.ingress(), |port| door.port(port));
        match far {
            // Either end may go at any time; there is nobody else to tell.
            Ok(mut far) => {
                tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
            }
            Err(error) => tracing::warn!(%error, host = %door.host, "no stream"),
        }
    }
}

impl Doors {
    /// Opens those that are wanted and closes the others; gives all that are open.
    pub(super) async fn set(
        &mut self,
        mut wanted: HashMap<String, (Door, ServiceView)>,
    ) -> Vec<(Door, FarService)> {
        self.0.retain(|key, _| wanted.contains_key(key));
        let mut open = Vec::new();
        for (key, (door, view)) in wanted.drain() {
            if !self.0.contains_key(&key) {
                let Some(opened) = door.open().await else { continue };
                self.0.insert(key.clone(), opened);
            }
            let Some(opened) = self.0.get(&key) else { continue };
            open.push((opened.door.clone(), opened.view(view)));
        }
        open.sort_by(|a, b| (&a.1.env, &a.1.service).cmp(&(&b.1.env, &b.1.service)));
        open
    }
}

impl Open {
    fn view(&self, view: ServiceView) -> FarService {
        FarService {
            env: self.door.env.clone(),
            root: self.door.root.clone(),
            service: view.name,
            names: view.names,
            address: self.address,
            ports: self.ports.clone(),
            urls: Vec::new(),
            resolves: false,
        }
    }
}
