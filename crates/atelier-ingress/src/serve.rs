//! A listener: accepts clients up to a limit, and stops without cutting off what is under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, Setting};
use crate::proxy::Ingress;
use crate::tls::TlsConfig;
use crate::tunnel::Life;

impl Ingress {
    /// Serves a listener until `stop`, and then for as long as requests go on, up to the options' grace.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<Arc<TlsConfig>>,
        stop: CancellationToken,
    ) {
        let life = Life { tracker: TaskTracker::new(), end: CancellationToken::new() };
        // A caller that drops this future gets everything dropped.
        let _end = life.end.clone().drop_guard();
        let places = Arc::new(Semaphore::new(self.options.connections));
        loop {
            let next = tokio::select! {
                next = accept(&listener, &places) => next,
                () = stop.cancelled() => break,
            };
            let Some((stream, address, place)) = next else { break };
            let setting =
                Setting { ingress: self.clone(), address, stop: stop.clone(), life: life.clone() };
            let tls = tls.clone();
            life.tracker.spawn(async move {
                connection::serve(setting, stream, tls).await;
                drop(place);
            });
        }
        drop(listener);
        life.tracker.close();
        if tokio::time::timeout(self.options.grace, life.tracker.wait()).await.is_err() {
            life.end.cancel();
            life.tracker.wait().await;
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                prepare(&stream);
                return Some((stream, address, place));
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                // Too many open files, most likely: they become fewer by waiting.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Small answers go out at once, and a client that has vanished is noticed after some minutes.
fn prepare(stream: &TcpStream) {
    let alive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(4);
    let done =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&alive));
    if let Err(error) = done {
        tracing::debug!(%error, "a connection's options");
    }
}
