//! TLS towards clients: versions, protocols, and which certificate a client gets.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::ca::LocalCa;
use crate::error::IngressError;
use crate::line::Resettable;

/// How often files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// How a listener speaks TLS: 1.2 and 1.3, with HTTP/2 and HTTP/1.1.
pub struct TlsConfig {
    acceptor: TlsAcceptor,
}

impl TlsConfig {
    /// Certificates from a local authority, by the name that each client asks for.
    pub fn local(authority: Arc<LocalCa>) -> Result<Self, IngressError> {
        Self::with(Arc::new(Local(authority)))
    }

    /// One certificate, with its chain, from PEM files. They are read again when they change.
    pub fn files(certificate: &Path, key: &Path) -> Result<Self, IngressError> {
        Self::with(Arc::new(Files::open(certificate, key)?))
    }

    fn with(resolver: Arc<dyn ResolvesServerCert>) -> Result<Self, IngressError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(IngressError::crypto("a TLS setup"))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(IngressError::crypto("a TLS setup"))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    pub(crate) async fn accept(&self, stream: Resettable) -> io::Result<TlsStream<Resettable>> {
        self.acceptor.accept(stream).await
    }
}

struct Local(Arc<LocalCa>);

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local")
    }
}

impl ResolvesServerCert for Local {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.certificate(hello.server_name())
    }
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    pair: Arc<CertifiedKey>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// What changes when a file is written or replaced.
type Stamp = [(u64, u64, i64, i64); 2];

impl Files {
    fn open(certificate: &Path, key: &Path) -> Result<Self, IngressError> {
        let stamp = stamp(certificate, key);
        let pair = Arc::new(load(certificate, key)?);
        let current = Mutex::new(Current { pair, stamp, looked: Instant::now() });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let stamp = stamp(&self.certificate, &self.key);
            if stamp.is_some() && stamp != current.stamp {
                match load(&self.certificate, &self.key) {
                    Ok(pair) => (current.pair, current.stamp) = (Arc::new(pair), stamp),
                    // Most likely one of the two is still to be written: the next look tells.
                    Err(error) => tracing::warn!(%error, "the old certificate stays in use"),
                }
            }
        }
        Some(current.pair.clone())
    }
}

fn stamp(certificate: &Path, key: &Path) -> Option<Stamp> {
    let of = |path: &Path| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    };
    Some([of(certificate)?, of(key)?])
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, IngressError> {
    let read = |path: &Path| std::fs::read(path).map_err(IngressError::file(path));
    let bad = |path: &Path, expected: &'static str, reason: String| IngressError::Content {
        path: path.to_owned(),
        expected,
        reason,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(certificate, "a certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(certificate, "a certificate", "there is none in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| bad(key, "a private key", error.to_string()))?;
    let signing = ring::sign::any_supported_type(&private)
        .map_err(|error| bad(key, "a private key", error.to_string()))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(IngressError::NoPair { certificate: certificate.to_owned(), key: key.to_owned() })
        }
        _ => Ok(pair),
    }
}
