//! An open TCP connection: smoltcp's socket on the sandbox's side, a socket of the host on the
//! other, and the pump between them.
//!
//! Data is read from the host straight into smoltcp's send buffer and written to the host straight
//! out of its receive buffer. Both have a fixed size, and neither side is read when the other does
//! not take it, so a slow reader slows its sender and memory stays flat.

use std::cell::{Cell, RefCell};
use std::io;

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::IpEndpoint;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Stack;
use super::engine::Engine;
use super::packet::{Packet, Pair};
use super::peer::Peer;
use super::recovery::Recovery;

/// Bytes of each buffer: two of the largest segments. Twice that is a sixth faster, and memory that
/// was touched stays with an idle connection. What is not used is never touched.
const BUFFER: usize = 128 * 1024;
/// How often one connection may move data before the others get their turn.
const TURNS: usize = 4;

/// The sandbox's side of a connection.
pub(super) struct Flow {
    sockets: RefCell<SocketSet<'static>>,
    handle: SocketHandle,
    /// A packet came in, or the connection was cut.
    arrived: Notify,
    /// The policy does not allow it any more.
    cut: Cell<bool>,
    recovery: RefCell<Recovery>,
}

/// What the pump remembers between its turns.
#[derive(Default)]
struct Progress {
    /// The host's side ended its data.
    peer_ended: bool,
    /// The sandbox ended its data.
    sandbox_ended: bool,
    /// The sandbox's end of data was passed on.
    passed_end: bool,
    /// The host's socket took less than there was.
    write_blocked: bool,
}

/// How a connection ends.
enum End {
    /// Both sides said all they had to say.
    Whole,
    /// One side broke it off.
    Reset,
}

impl Flow {
    /// A socket that listens for the SYN of `pair`.
    pub(super) fn new(pair: Pair) -> Option<Self> {
        let mut socket = socket();
        socket.listen(IpEndpoint::from(pair.dst)).ok()?;
        Some(Self::of(socket))
    }

    /// A socket that connects to the sandbox.
    pub(super) fn dial(engine: &RefCell<Engine>, pair: Pair) -> Option<Self> {
        let mut socket = socket();
        engine.borrow_mut().connect(&mut socket, pair)?;
        Some(Self::of(socket))
    }

    fn of(socket: tcp::Socket<'static>) -> Self {
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = sockets.add(socket);
        let sockets = RefCell::new(sockets);
        let (arrived, cut, recovery) = (Notify::new(), Cell::new(false), RefCell::default());
        Self { sockets, handle, arrived, cut, recovery }
    }

    /// Breaks the connection off, both ways.
    pub(super) fn cut(&self) {
        self.cut.set(true);
        self.arrived.notify_one();
    }

    /// Sends what the socket has to send.
    pub(super) fn send(&self, engine: &mut Engine) {
        engine.send(&mut self.sockets.borrow_mut(), &mut self.recovery.borrow_mut());
    }

    /// Returns when a packet came in.
    pub(super) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Where the connection stands.
    pub(super) fn state(&self) -> State {
        self.with(|socket| socket.state())
    }

    /// Takes a packet of this connection.
    pub(super) fn receive(&self, stack: &Stack, buffer: &mut Vec<u8>, length: usize) {
        if stack.port.loses()
            && let Some(packet) = buffer.get(..length).and_then(Packet::parse)
            && let Some(lost) = self.recovery.borrow_mut().heard(&packet)
        {
            stack.port.write(lost);
        }
        stack.engine.borrow_mut().receive(buffer, length, &mut self.sockets.borrow_mut());
        self.arrived.notify_one();
    }

    /// Sends what is to be sent now, and tells when there may be more though nothing arrives.
    fn flush(&self, stack: &Stack) -> Option<Instant> {
        if !stack.port.is_full()
            && let Some(overdue) = self.recovery.borrow_mut().overdue()
        {
            stack.port.write(overdue);
        }
        let mut engine = stack.engine.borrow_mut();
        self.send(&mut engine);
        let next = engine.next(&self.sockets.borrow());
        next.into_iter().chain(self.recovery.borrow().next()).min()
    }

    fn with<R>(&self, f: impl FnOnce(&mut tcp::Socket<'static>) -> R) -> R {
        f(self.sockets.borrow_mut().get_mut(self.handle))
    }
}

fn socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    // Our acknowledgments go out after each turn, with the window as it then is; and data goes out
    // as the host sent it.
    socket.set_ack_delay(None);
    socket.set_nagle_enabled(false);
    socket
}

/// Waits for what the sandbox says first, as far as `read` wants to see it; nothing is taken. None when
/// the other side speaks first, or the connection is about to end.
pub(super) async fn first_words<T>(
    stack: &Stack,
    flow: &Flow,
    peer: &Peer,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    loop {
        if flow.cut.get() {
            return None;
        }
        let (seen, more) = flow.with(|socket| {
            let more = socket.may_recv() || matches!(socket.state(), State::SynReceived);
            (socket.peek(BUFFER).ok().and_then(&read), more)
        });
        if seen.is_some() {
            return seen;
        }
        let wake = flow.flush(stack);
        if !more {
            return None;
        }
        let until = async {
            match wake {
                _ if stack.port.is_full() => stack.port.room().await,
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = flow.arrived.notified() => {}
            () = peer.ready(true, false) => return None,
            () = until => {}
        }
    }
}

/// Breaks the connection off on the sandbox's side.
pub(super) fn abort(stack: &Stack, flow: &Flow) {
    flow.with(tcp::Socket::abort);
    flow.flush(stack);
}

/// Moves data both ways until both sides are done.
pub(super) async fn pump(stack: &Stack, flow: &Flow, peer: Peer) {
    let mut progress = Progress::default();
    loop {
        let moved = flow.with(|socket| {
            if flow.cut.get() {
                socket.abort();
            }
            turn(socket, &peer, &mut progress)
        });
        let wake = flow.flush(stack);
        match flow.with(|socket| end(socket, &progress)) {
            Some(End::Reset) => return peer.reset(),
            Some(End::Whole) => return write_rest(flow, &peer).await,
            None => {}
        }
        if moved {
            tokio::task::yield_now().await;
            continue;
        }
        let read = !progress.peer_ended && flow.with(|socket| socket.can_send());
        let until = async {
            match wake {
                _ if stack.port.is_full() => stack.port.room().await,
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = flow.arrived.notified() => {}
            () = peer.ready(read, progress.write_blocked) => {}
            () = until => {}
        }
    }
}

/// Whether the connection is over on the sandbox's side, and how.
fn end(socket: &tcp::Socket<'_>, progress: &Progress) -> Option<End> {
    match socket.state() {
        // A reset that comes before the handshake's end sends smoltcp back to listening.
        State::Listen => Some(End::Reset),
        State::Closed if progress.peer_ended && progress.sandbox_ended => Some(End::Whole),
        State::Closed => Some(End::Reset),
        // Our last acknowledgment went out in this turn, and the wire loses nothing.
        State::TimeWait => Some(End::Whole),
        _ => None,
    }
}

/// Writes what the host has not taken yet, now that smoltcp's part is over.
async fn write_rest(flow: &Flow, peer: &Peer) {
    let rest = flow.with(|socket| {
        let mut rest = vec![0; socket.recv_queue()];
        let length = socket.recv_slice(&mut rest).unwrap_or(0);
        rest.truncate(length);
        rest
    });
    let mut rest = rest.as_slice();
    while !rest.is_empty() {
        match peer.try_write(rest) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(error) if again(&error) => peer.ready(false, true).await,
            Err(_) => return,
        }
    }
}

/// One turn: all that can be moved now, within limits. Whether there may be more at once.
fn turn(socket: &mut tcp::Socket<'_>, peer: &Peer, progress: &mut Progress) -> bool {
    let mut more = false;
    for _ in 0..TURNS {
        let moved = (to_peer(socket, peer, progress), to_sandbox(socket, peer, progress));
        let (Ok(written), Ok(read)) = moved else {
            socket.abort();
            return false;
        };
        more = written || read;
        if !more {
            break;
        }
    }
    let state = socket.state();
    progress.sandbox_ended |=
        matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
    if progress.sandbox_ended && !progress.passed_end && socket.recv_queue() == 0 {
        peer.finish();
        progress.passed_end = true;
    }
    more
}

/// Writes what came from the sandbox to the host. Whether anything went.
fn to_peer(socket: &mut tcp::Socket<'_>, peer: &Peer, progress: &mut Progress) -> io::Result<bool> {
    progress.write_blocked = false;
    if !socket.can_recv() {
        return Ok(false);
    }
    let outcome = socket.recv(|data| match peer.try_write(data) {
        Ok(n) => (n, Ok(n > 0)),
        Err(error) => (0, Err(error)),
    });
    match outcome {
        Ok(Err(error)) if again(&error) => {
            progress.write_blocked = true;
            Ok(false)
        }
        Ok(result) => result,
        Err(_) => Ok(false),
    }
}

/// Reads what came from the host for the sandbox. Whether anything came.
fn to_sandbox(
    socket: &mut tcp::Socket<'_>,
    peer: &Peer,
    progress: &mut Progress,
) -> io::Result<bool> {
    if progress.peer_ended || !socket.can_send() {
        return Ok(false);
    }
    let outcome = socket.send(|room| match peer.try_read(room) {
        Ok(n) => (n, Ok((n, room.is_empty()))),
        Err(error) => (0, Err(error)),
    });
    match outcome {
        Ok(Ok((0, false))) => {
            progress.peer_ended = true;
            socket.close();
            Ok(false)
        }
        Ok(Ok((n, _))) => Ok(n > 0),
        Ok(Err(error)) if again(&error) => Ok(false),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
