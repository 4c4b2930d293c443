//! TLS on both sides: a certificate of ours for the sandbox, the server's checked, and one protocol for
//! both.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atelier_ingress::{IngressError, LocalCa, Names};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsConnector};

use crate::carry;
use crate::connection::{Connection, Context};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(30);
const ONE: &[u8] = b"http/1.1";
const TWO: &[u8] = b"h2";

/// What changes requests: the authority that sandboxes trust, and those that we trust.
pub struct Egress {
    ca: Arc<LocalCa>,
    trusted: Vec<PathBuf>,
    /// Made at the first connection: reading a machine's authorities takes a while.
    client: OnceLock<ClientConfig>,
    /// By the protocol that the server chose: none, HTTP/1.1, HTTP/2.
    servers: [Arc<ServerConfig>; 3],
}

impl Egress {
    /// Opens the authority of a folder, or makes one there. Servers are trusted that an authority of this
    /// machine vouches for (those in `SSL_CERT_FILE` when that is set), or one of the files `trusted`.
    ///
    /// # Errors
    /// When its files can't be read or written.
    pub fn open(folder: &Path, trusted: Vec<PathBuf>) -> Result<Self, IngressError> {
        let ca = Arc::new(LocalCa::open(folder, Names::any())?);
        let server = |protocols: &[&[u8]]| server(&ca, protocols).map(Arc::new);
        let servers = [server(&[])?, server(&[ONE])?, server(&[TWO])?];
        Ok(Self { ca, trusted, client: OnceLock::new(), servers })
    }

    /// The certificate that sandboxes are to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.ca.ca_pem()
    }

    /// Carries a connection to its end.
    pub async fn carry(&self, connection: Connection) {
        let host = connection.host.clone();
        let done = match connection.secure {
            true => self.secure(connection).await,
            false => plain(connection).await,
        };
        if let Err(error) = done {
            tracing::debug!(%error, host, "a connection with header rules broke off");
        }
    }

    async fn secure(&self, connection: Connection) -> io::Result<()> {
        let Connection { host, port, sandbox, server, rules, .. } = connection;
        let hello = LazyConfigAcceptor::new(Default::default(), sandbox);
        let hello = limited(hello).await?;
        let offered = offered(&hello);
        match self.connect(&host, &offered, server).await {
            Ok(server) => {
                let chosen = server.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                let sandbox = self.accept(hello, &offered, chosen.as_deref()).await?;
                let context = Context { host: host.into(), port, rules };
                let done = match chosen.as_deref() == Some(TWO) {
                    true => carry::second(&context, sandbox, server).await,
                    false => carry::first(&context, sandbox, server).await,
                };
                done.map_err(io::Error::other)
            }
            Err(error) => {
                let why = refusal(&host, &error);
                tracing::warn!(host, %error, "a server of a host with header rules is not usable");
                let two = offered.iter().any(|protocol| protocol == TWO);
                let chosen = if two { TWO } else { ONE };
                let sandbox = self.accept(hello, &offered, Some(chosen)).await?;
                carry::refuse(sandbox, two, &why).await.map_err(io::Error::other)
            }
        }
    }

    /// Greets the server with what the sandbox offers, and checks who it is.
    async fn connect(
        &self,
        host: &str,
        offered: &[Vec<u8>],
        server: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = match self.client.get() {
            Some(config) => config.clone(),
            None => {
                let made = client(&self.trusted)?;
                self.client.get_or_init(|| made).clone()
            }
        };
        config.alpn_protocols = offered.to_vec();
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        limited(TlsConnector::from(Arc::new(config)).connect(name, server)).await
    }

    /// Answers the sandbox with what the server chose.
    async fn accept(
        &self,
        hello: StartHandshake<UnixStream>,
        offered: &[Vec<u8>],
        chosen: Option<&[u8]>,
    ) -> io::Result<tokio_rustls::server::TlsStream<UnixStream>> {
        let [none, one, two] = &self.servers;
        let config = match chosen {
            _ if offered.is_empty() => none,
            Some(TWO) => two,
            // A server that chooses nothing speaks HTTP/1.1.
            _ => one,
        };
        limited(hello.into_stream(config.clone())).await
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Egress")
    }
}

/// A connection without TLS: only a server that the host's name leads to is sent anything.
async fn plain(connection: Connection) -> io::Result<()> {
    let Connection { host, port, named, sandbox, server, rules, .. } = connection;
    if !named {
        let address = server.peer_addr()?.ip();
        let why = format!(
            "{address} is not an address of {host} as this sandbox's name server knows it, and \
             without TLS nothing else tells; use https, or the name server of the sandbox"
        );
        return carry::refuse(sandbox, false, &why).await.map_err(io::Error::other);
    }
    let context = Context { host: host.into(), port, rules };
    carry::first(&context, sandbox, server).await.map_err(io::Error::other)
}

async fn limited<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, handshake).await?
}

/// The protocols that the sandbox offers and that we know.
fn offered(hello: &StartHandshake<UnixStream>) -> Vec<Vec<u8>> {
    let hello = hello.client_hello();
    let known = hello.alpn().into_iter().flatten().filter(|name| [ONE, TWO].contains(name));
    known.map(<[u8]>::to_vec).collect()
}

/// Why a server is not used, and what to do about it.
fn refusal(host: &str, error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => format!(
            "the certificate of {host} is not valid: {}; so no header of its rule was sent; \
             trust its authority on the machine of the control plane, or name a host that has a \
             valid one",
            said(why)
        ),
        _ => format!("no TLS connection with {host}: {error}"),
    }
}

fn said(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "no authority that this machine trusts vouches for it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is another host's".to_owned()
        }
        other => other.to_string(),
    }
}

fn client(trusted: &[PathBuf]) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for file in trusted {
        let Ok(certificates) = CertificateDer::pem_file_iter(file) else { continue };
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn server(ca: &Arc<LocalCa>, protocols: &[&[u8]]) -> Result<ServerConfig, IngressError> {
    let crypto = |error: rustls::Error| IngressError::Crypto {
        what: "a TLS setup",
        reason: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(crypto)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Minted(ca.clone())));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.ticketer = ring::Ticketer::new().map_err(crypto)?;
    Ok(config)
}

/// Certificates for the names that sandboxes ask for.
struct Minted(Arc<LocalCa>);

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Minted")
    }
}

impl ResolvesServerCert for Minted {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.certificate(Some(hello.server_name()?))
    }
}
