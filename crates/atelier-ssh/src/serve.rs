//! Takes connections and runs each.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};
use russh::server::{Config, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, Preferred, SshId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::Doors;
use crate::connection::Connection;

/// How long a client may take to show its key.
const GRACE: Duration = Duration::from_secs(60);
/// The most clients that have not shown theirs.
const MOST_WAITING: usize = 100;
/// After this much silence a client is asked whether it is there, three times.
const SILENCE: Duration = Duration::from_secs(60);
/// How long connections may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// The pause after no connection could be taken: files are short, and that passes.
const BREATH: Duration = Duration::from_millis(100);
/// Tries for a key; a client tries each of its own.
const MOST_TRIES: usize = 30;
/// The kinds of keys that may come in: RSA with SHA-1 may not.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What the server is run with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What clients know this host by.
    pub host_key: PrivateKey,
    /// A folder on a disk, for input that a process does not read; files in it have no names.
    pub scratch: PathBuf,
}

/// Serves until told to stop; then ends every connection and returns.
pub async fn serve(
    listener: TcpListener,
    doors: Arc<dyn Doors>,
    settings: Settings,
    stop: CancellationToken,
) {
    let config = Arc::new(config(settings.host_key));
    let (waiting, tasks) = (Arc::new(Semaphore::new(MOST_WAITING)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "ssh: a connection could not be taken");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&waiting).try_acquire_owned() else {
            tracing::warn!("ssh: too many clients that have shown no key");
            continue;
        };
        let mut connection = Connection::new(Arc::clone(&doors), settings.scratch.clone());
        connection.waiting = Some(place);
        tasks.spawn(converse(stream, connection, Arc::clone(&config), stop.clone()));
    }
    tasks.close();
    // Whoever does not end in time is cut off when the runtime ends.
    let _ = tokio::time::timeout(FAREWELL, tasks.wait()).await;
}

fn config(host_key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard(concat!("SSH-2.0-Atelier_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        // Which keys are known is no secret worth a second for each that a client tries.
        auth_rejection_time: Duration::ZERO,
        keys: vec![host_key],
        max_auth_attempts: MOST_TRIES,
        inactivity_timeout: None,
        keepalive_interval: Some(SILENCE),
        nodelay: true,
        preferred: Preferred { key: KEYS.into(), ..Preferred::DEFAULT },
        ..Config::default()
    }
}

async fn converse(
    stream: TcpStream,
    mut connection: Connection,
    config: Arc<Config>,
    stop: CancellationToken,
) {
    // A client that is gone already shows when it is read from.
    let _ = stream.set_nodelay(true);
    connection.ends = stream.peer_addr().ok().zip(stream.local_addr().ok());
    let (gone, known) = (connection.gone.clone(), connection.known.clone());
    let stream = Cut { stream, cut: Box::pin(gone.clone().cancelled_owned()) };
    let shown = async {
        if tokio::time::timeout(GRACE, known.cancelled()).await.is_err() {
            gone.cancel();
        }
        std::future::pending::<()>().await;
    };
    let session = async {
        let running = tokio::time::timeout(GRACE, run_stream(config, stream, connection)).await;
        let Ok(Ok(mut running)) = running else { return };
        let handle = running.handle();
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = stop.cancelled() => {
                let (reason, why) = (Disconnect::ByApplication, "atelier stops".to_owned());
                let _ = handle.disconnect(reason, why, String::new()).await;
                let ended = tokio::time::timeout(FAREWELL / 2, &mut running).await;
                gone.cancel();
                ended.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "ssh: a connection broke");
        }
    };
    tokio::select! {
        () = session => {}
        () = shown => {}
    }
}

/// A connection that can be cut from outside: the library has no way to.
struct Cut {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cut {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
