//! Everything that the control plane listens on, and what serves there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use atelier_config::Home;
use atelier_ingress::{Ingress, LocalCa, Names, Resettable, TlsConfig};
use axum::Router;
use axum::serve::Listener;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::listen;
use crate::peer::Peer;
use crate::shells::Shells;

/// Addresses that are asked for.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// The API over TCP, besides the Unix socket.
    pub listen: Option<String>,
    /// Web servers inside environments and sandboxes.
    pub ingress: Option<String>,
    /// The same with TLS.
    pub tls: Option<String>,
    /// The SSH server.
    pub ssh: Option<String>,
    /// The name server.
    pub dns: Option<SocketAddr>,
}

/// What is listened on.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) ingress: Option<TcpListener>,
    pub(crate) tls: Option<TcpListener>,
    pub(crate) ssh: Option<TcpListener>,
}

impl Listeners {
    /// Listens. An address of the API or of TLS that can't be had is an error, since it was asked
    /// for; the others have defaults, and take another port.
    pub(crate) async fn bind(addresses: &Addresses) -> Result<Self, Problem> {
        Ok(Self {
            tcp: match &addresses.listen {
                Some(address) => Some(listen::tcp(address).await?),
                None => None,
            },
            ingress: listen::default(addresses.ingress.as_deref(), "the ingress").await,
            tls: match &addresses.tls {
                Some(address) => Some(listen::any(address).await?),
                None => None,
            },
            ssh: listen::default(addresses.ssh.as_deref(), "the SSH server").await,
        })
    }

    /// Where one of them listens.
    pub(crate) fn address(listener: Option<&TcpListener>) -> Option<SocketAddr> {
        listener.and_then(|listener| listener.local_addr().ok())
    }

    /// The scheme and port that URLs of sandboxes have.
    pub(crate) fn url(&self) -> Option<(&'static str, u16)> {
        let tls = Self::address(self.tls.as_ref()).map(|a| ("https", a.port()));
        tls.or_else(|| Self::address(self.ingress.as_ref()).map(|a| ("http", a.port())))
    }
}

/// Certificates of the ingress.
#[derive(Debug, Clone, Default)]
pub struct Certificate {
    /// A chain in PEM; the home's own authority when absent.
    pub certificate: Option<PathBuf>,
    /// Its key in PEM.
    pub key: Option<PathBuf>,
}

/// The TLS of the ingress.
pub(crate) fn tls(
    home: &Home,
    domain: &str,
    suffix: &str,
    files: &Certificate,
) -> Result<Arc<TlsConfig>, Problem> {
    let config = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => TlsConfig::files(certificate, key)?,
        (None, None) => TlsConfig::local(Arc::new(local_ca(home, domain, suffix)?))?,
        _ => {
            return Err(Problem::new(
                "serve.tls",
                ExitCode::Configuration,
                "a certificate and its key are needed, and only one of them is set",
            )
            .hint("set tls.certificate and tls.key, or neither"));
        }
    };
    Ok(Arc::new(config))
}

/// The home's own authority, which is made when it is not there.
///
/// # Errors
/// When its files can't be read or written.
pub fn local_ca(home: &Home, domain: &str, suffix: &str) -> Result<LocalCa, Problem> {
    // Names of environments stand two levels below localhost.
    let names = Names { allowed: Arc::new(|_| true), ..Names::of([domain, "localhost", suffix]) };
    Ok(LocalCa::open(&home.keys(), names)?)
}

/// What is served where.
pub(crate) struct Served {
    pub(crate) unix: UnixListener,
    pub(crate) listeners: Listeners,
    pub(crate) tls: Option<Arc<TlsConfig>>,
    pub(crate) api: mpsc::Receiver<DuplexStream>,
    pub(crate) router: Router,
    pub(crate) proxy: Arc<Ingress>,
    pub(crate) shells: Option<(Arc<Shells>, atelier_ssh::Settings)>,
}

/// Serves until `stop`, and a while longer for calls under way.
pub(crate) async fn run(served: Served, stop: CancellationToken, grace: Duration) {
    let Served { unix, listeners, tls, api, router, proxy, shells } = served;
    let over_unix = serve(unix, router.clone(), &stop);
    let over_tcp = async {
        if let Some(tcp) = listeners.tcp {
            serve(Tcp(tcp), router.clone(), &stop).await;
        }
    };
    let over_proxy = serve(InMemory(api), router.clone(), &stop);
    if let Some(listener) = listeners.ingress {
        tokio::spawn(proxy.clone().serve(listener, None, stop.clone()));
    }
    if let Some(listener) = listeners.tls {
        tokio::spawn(proxy.serve(listener, tls, stop.clone()));
    }
    if let (Some(listener), Some((doors, settings))) = (listeners.ssh, shells) {
        tokio::spawn(atelier_ssh::serve(listener, doors, settings, stop.clone()));
    }
    let all = async {
        tokio::join!(over_unix, over_tcp, over_proxy);
    };
    // A call that never ends must not keep a stop from happening.
    let limit = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! { () = all => {}, () = limit => {} }
}

async fn serve<L>(listener: L, router: Router, stop: &CancellationToken)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
    Peer: for<'a> axum::extract::connect_info::Connected<axum::serve::IncomingStream<'a, L>>,
{
    let service = router.into_make_service_with_connect_info::<Peer>();
    let stop = stop.clone().cancelled_owned();
    let _ = axum::serve(listener, service).with_graceful_shutdown(stop).await;
}

/// Connections over TCP.
pub(crate) struct Tcp(TcpListener);

impl Listener for Tcp {
    type Io = Resettable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Resettable, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Resettable::new(stream), address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Connections that the ingress makes to the API.
pub(crate) struct InMemory(mpsc::Receiver<DuplexStream>);

impl Listener for InMemory {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            // The ingress is gone: there is nothing more to accept.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}
