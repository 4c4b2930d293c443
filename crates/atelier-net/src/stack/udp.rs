//! Datagrams: UDP and ICMP echo. Each pair of addresses has a connected socket of the host and a
//! task that carries the answers back, until nothing has passed for a while.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Stack;
use super::control::watched;
use super::gate::Way;
use super::packet::{self, Packet, Pair, Unreachable};
use crate::Addresses;

/// The message types of an echo request and its reply (RFC 792, RFC 4443).
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
/// The longest datagram.
const LARGEST: usize = 65_535;

/// Every flow of datagrams.
pub(super) struct Table {
    flows: RefCell<HashMap<Key, Rc<Flow>>>,
    /// Where answers are read; one for all, used between two awaits only.
    buffer: RefCell<Vec<u8>>,
}

impl Default for Table {
    fn default() -> Self {
        Self { flows: RefCell::default(), buffer: RefCell::new(vec![0; LARGEST]) }
    }
}

/// A flow's name. For an echo the source's port is its identifier and the other port is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    echo: bool,
    pair: Pair,
}

struct Flow {
    socket: AsyncFd<UdpSocket>,
    last: Cell<Instant>,
    idle: Duration,
    /// Where the policy let it go; an echo has none.
    way: Option<Way>,
    /// A notification ends it: to make room, or because it is not allowed any more.
    evicted: Notify,
}

/// Takes a UDP packet.
pub(super) fn receive(stack: &Rc<Stack>, packet: &Packet<'_>) {
    let (Some(pair), Some(data)) = (packet.pair(), packet.udp_data()) else { return };
    let key = Key { echo: false, pair };
    let known = stack.udp.flows.borrow().get(&key).cloned();
    if let Some(flow) = known {
        return flow.send(stack, packet, data);
    }
    let way = stack.way(pair.dst);
    match way {
        Way::Dns => super::dns::serve_datagram(stack, pair, data),
        Way::Out(to) => open(stack, packet, (key, Some(way)), data, udp_socket(to)),
        Way::Host(port) => {
            let socket = udp_socket((Ipv4Addr::LOCALHOST, port).into());
            open(stack, packet, (key, Some(way)), data, socket);
        }
        Way::Denied if pair.dst.ip().is_multicast() || is_broadcast(pair.dst.ip()) => {}
        Way::Denied => {
            stack.denials.note(&pair.dst);
            stack.port.write(&packet.unreachable(Unreachable::Prohibited));
        }
    }
}

/// Takes an ICMP packet: echo requests are carried, all others are dropped.
pub(super) fn receive_echo(stack: &Rc<Stack>, packet: &Packet<'_>) {
    let (request, reply) = if packet.src.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
    let message = packet.payload;
    let (Some(&kind), Some(&[hi, lo])) = (message.first(), message.get(4..6)) else { return };
    if kind != request || packet.dst.is_multicast() {
        return;
    }
    if Addresses::is_gateway(packet.dst) || Addresses::is_dns(packet.dst) {
        let mut answer = message.to_vec();
        answer[0] = reply;
        return stack.port.write(&packet::icmp(packet.dst, packet.src, answer));
    }
    let pair = Pair {
        src: SocketAddr::new(packet.src, u16::from_be_bytes([hi, lo])),
        dst: SocketAddr::new(packet.dst, 0),
    };
    let key = Key { echo: true, pair };
    let known = stack.udp.flows.borrow().get(&key).cloned();
    match known {
        Some(flow) => flow.send(stack, packet, message),
        None if stack.gate.echo(packet.dst) => {
            open(stack, packet, (key, None), message, echo_socket(packet.dst));
        }
        None => {
            stack.denials.note(&format_args!("echo to {}", packet.dst));
            stack.port.write(&packet.unreachable(Unreachable::Prohibited));
        }
    }
}

/// Starts a flow with its first datagram.
fn open(
    stack: &Rc<Stack>,
    packet: &Packet<'_>,
    (key, way): (Key, Option<Way>),
    data: &[u8],
    socket: io::Result<AsyncFd<UdpSocket>>,
) {
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return stack.port.write(&packet.unreachable(reason(&error))),
    };
    let idle =
        if key.pair.dst.port() == 53 { stack.options.dns_idle } else { stack.options.udp_idle };
    let last = Cell::new(Instant::now());
    let flow = Rc::new(Flow { socket, last, idle, way, evicted: Notify::new() });
    stack.udp.insert(key, &flow, stack.options.max_udp);
    flow.send(stack, packet, data);
    let stack = stack.clone();
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = carry_back(&stack, &flow, key) => {}
            () = flow.expired() => {}
            () = flow.evicted.notified() => {}
        }
        stack.udp.remove(&key, &flow);
    });
}

/// Carries answers back for as long as the flow lives.
async fn carry_back(stack: &Stack, flow: &Flow, key: Key) {
    let interest = Interest::READABLE | Interest::ERROR;
    while let Ok(mut ready) = flow.socket.ready(interest).await {
        let mut buffer = stack.udp.buffer.borrow_mut();
        match ready.try_io(|socket| socket.get_ref().recv(&mut buffer)) {
            Ok(Ok(length)) => {
                flow.last.set(Instant::now());
                let data = buffer.get(..length).unwrap_or_default();
                if let Some(packet) = answer(key, data) {
                    stack.port.write(&packet);
                }
            }
            // The host's network said that the destination does not take it.
            Ok(Err(error)) if !key.echo => {
                let sent = packet::udp(key.pair.src, key.pair.dst, &[]).unwrap_or_default();
                if let Some(sent) = Packet::parse(&sent) {
                    stack.port.write(&sent.unreachable(reason(&error)));
                }
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// An answer of the host's network as a packet to the sandbox.
fn answer(key: Key, data: &[u8]) -> Option<Vec<u8>> {
    let Pair { src, dst } = key.pair;
    if !key.echo {
        return packet::udp(dst, src, data);
    }
    // The kernel gave the message an identifier of its own; the sandbox waits for the one it sent.
    let mut message = data.to_vec();
    message.get_mut(4..6)?.copy_from_slice(&src.port().to_be_bytes());
    Some(packet::icmp(dst.ip(), src.ip(), message))
}

impl Flow {
    /// Sends a datagram out. A full socket drops it, as a full network would.
    fn send(&self, stack: &Stack, packet: &Packet<'_>, data: &[u8]) {
        self.last.set(Instant::now());
        match self.socket.get_ref().send(data) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => stack.port.write(&packet.unreachable(reason(&error))),
            Ok(_) => {}
        }
    }

    /// Returns when nothing has passed for the idle time.
    async fn expired(&self) {
        loop {
            let end = self.last.get() + self.idle;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

impl Table {
    fn insert(&self, key: Key, flow: &Rc<Flow>, limit: usize) {
        let mut flows = self.flows.borrow_mut();
        if flows.len() >= limit {
            let oldest = flows.iter().min_by_key(|(_, f)| f.last.get()).map(|(key, _)| *key);
            if let Some(oldest) = oldest.and_then(|key| flows.remove(&key)) {
                oldest.evicted.notify_one();
            }
        }
        flows.insert(key, flow.clone());
    }

    /// Ends what would go another way now, or none.
    pub(super) fn recheck(&self, way: impl Fn(Pair) -> Way, echo: impl Fn(Pair) -> bool) {
        self.flows.borrow_mut().retain(|key, flow| {
            let stays = match flow.way {
                Some(before) => before == way(key.pair),
                None => echo(key.pair),
            };
            if !stays {
                flow.evicted.notify_one();
            }
            stays
        });
    }

    /// Removes a flow, unless a newer one has its place.
    fn remove(&self, key: &Key, flow: &Rc<Flow>) {
        let mut flows = self.flows.borrow_mut();
        if flows.get(key).is_some_and(|f| Rc::ptr_eq(f, flow)) {
            flows.remove(key);
        }
    }
}

fn udp_socket(to: SocketAddr) -> io::Result<AsyncFd<UdpSocket>> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    connected(UdpSocket::bind((any, 0))?, to)
}

/// A ping socket (icmp(7)): an echo without privileges, where `net.ipv4.ping_group_range` allows
/// it to the user.
fn echo_socket(to: IpAddr) -> io::Result<AsyncFd<UdpSocket>> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (libc::AF_INET, libc::IPPROTO_ICMP),
        IpAddr::V6(_) => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
    };
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socket just returned it, and nobody else has it.
    connected(UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) }), SocketAddr::new(to, 0))
}

fn connected(socket: UdpSocket, to: SocketAddr) -> io::Result<AsyncFd<UdpSocket>> {
    socket.connect(to)?;
    watched(socket.into())
}

fn reason(error: &io::Error) -> Unreachable {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Unreachable::Port,
        io::ErrorKind::NetworkUnreachable => Unreachable::Network,
        io::ErrorKind::PermissionDenied => Unreachable::Prohibited,
        _ => Unreachable::Host,
    }
}

fn is_broadcast(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}
