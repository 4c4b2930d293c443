//! The running server: its sockets and its end. What is answered is `answer`'s matter.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::answer::{Book, Outcome, Transport};
use crate::error::{Error, Result};
use crate::forward::Forwarder;
use crate::options::Options;
use crate::zone::Zone;
use crate::{tcp, udp};

/// How often another port is tried when UDP got one that TCP can't have.
const PORT_ATTEMPTS: usize = 16;

/// A running DNS server. It ends when this is dropped, or with [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Server {
    /// Listens on all addresses and serves the zone, until it is stopped or dropped. Later changes
    /// of the zone are served from the moment that they are made.
    ///
    /// # Errors
    /// [`Error::Options`]; [`Error::Listen`] when one of the addresses can't be had, and then none
    /// is listened on.
    pub async fn start(zone: Zone, options: Options) -> Result<Self> {
        options.check()?;
        let mut sockets = Vec::new();
        for address in &options.listen {
            sockets.push(bind(*address).await?);
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let desk = Arc::new(Desk::new(zone, options, stop.clone(), tasks.clone()));
        let mut addresses = Vec::new();
        for (address, datagrams, connections) in sockets {
            addresses.push(address);
            tasks.spawn(udp::serve(desk.clone(), Arc::new(datagrams)));
            tasks.spawn(tcp::serve(desk.clone(), connections));
        }
        tasks.close();
        Ok(Self { addresses, tasks, stop: stop.drop_guard() })
    }

    /// Where it listens, in the order of the options, with the real ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it and waits until its sockets are closed.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

/// What all sockets share.
#[derive(Debug)]
pub(crate) struct Desk {
    book: Book,
    turn: AtomicUsize,
    pub(crate) forwarder: Forwarder,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Desk {
    fn new(zone: Zone, options: Options, stop: CancellationToken, tasks: TaskTracker) -> Self {
        let forwarder = Forwarder::new(&options);
        let book = Book { zone, options };
        Self { book, turn: AtomicUsize::new(0), forwarder, stop, tasks }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.book.options
    }

    /// Answers one message. A defect that one message finds must not end the answers to others.
    pub(crate) fn answer(&self, message: &[u8], transport: Transport) -> Outcome {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let answer = AssertUnwindSafe(|| self.book.answer(message, transport, turn));
        catch_unwind(answer).unwrap_or_else(|_| {
            tracing::error!(bytes = message.len(), "a DNS message could not be answered");
            Outcome::Silence
        })
    }
}

/// Both sockets of an address, on the same port.
async fn bind(address: SocketAddr) -> Result<(SocketAddr, UdpSocket, TcpListener)> {
    let failed = |transport| move |source| Error::Listen { address, transport, source };
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        let datagrams = UdpSocket::bind(address).await.map_err(failed("UDP"))?;
        let real = datagrams.local_addr().map_err(failed("UDP"))?;
        attempts -= 1;
        match TcpListener::bind(real).await {
            Ok(connections) => return Ok((real, datagrams, connections)),
            Err(error) if attempts == 0 => return Err(failed("TCP")(error)),
            Err(_) => {}
        }
    }
}
