//! Closing every connection, and taking none, while the processes of the sandbox are saved: the other
//! ends are processes of somebody else's, and not saved.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::state::Server;

/// Whoever saves may have been killed in the middle.
const LIMIT: Duration = Duration::from_secs(120);

/// Open, or parked.
#[derive(Debug)]
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Returns when connections are taken.
    pub(super) async fn opened(&self) {
        self.is(false).await;
    }

    /// Returns when there must be none.
    pub(super) async fn parked(&self) {
        self.is(true).await;
    }

    /// Does the work of a connection as long as there may be one.
    pub(super) async fn through(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = self.parked() => {}
            () = work => {}
        }
    }

    async fn is(&self, parked: bool) {
        // The sender is ours, so it is there.
        let _ = self.0.subscribe().wait_for(|it| *it == parked).await;
    }
}

/// Parks on SIGUSR1 and opens on SIGUSR2, as `atelier_launch::criu` sends them.
pub(super) fn follow_signals(server: &Rc<Server>) -> io::Result<impl Future<Output = ()> + use<>> {
    let mut park = signal(SignalKind::user_defined1())?;
    let mut open = signal(SignalKind::user_defined2())?;
    let server = Rc::clone(server);
    Ok(async move {
        while park.recv().await.is_some() {
            server.gate.0.send_replace(true);
            let _ = tokio::time::timeout(LIMIT, open.recv()).await;
            server.gate.0.send_replace(false);
        }
    })
}
