//! The network stack: the process outside a sandbox that carries its connections.
//!
//! # Why smoltcp, used directly
//!
//! Three were tried with the same program on one 2-core virtual machine (release build; 1 GiB each
//! way over one connection, to a plain TCP server in another namespace; MTU 65,520 or 65,535;
//! this one with 128 KiB of buffer each way, the second with its 320 KiB):
//!
//! | | out of the sandbox | into it | connect and close | found |
//! |---|---|---|---|---|
//! | smoltcp 0.14, one socket set for each connection (this) | 1,250 to 1,600 MB/s | 1,050 to 1,400 MB/s | 105 to 160 us | refused is seen as refused |
//! | netstack-smoltcp 0.2.4 | 1,150 to 1,500 MB/s | 1,450 to 1,600 MB/s | 290 to 360 us | wakes every 5 ms when idle; copies everything once more; goes through all sockets for each packet |
//! | ipstack 1.0.1 | 50 MB/s | did not finish | | no window scaling; unbounded queues; ends idle connections after 60 s and half-closed ones after 5 s; drops data after three retransmissions |
//!
//! The two others also answer a SYN before anyone knows whether the server is there, so that a
//! program in the sandbox would see "connected, then closed" where the truth is "refused".
//!
//! simple-dns reads and writes DNS messages: one small dependency (bitflags), where
//! hickory-proto brings a resolver's whole tree.
//!
//! # Links
//!
//! The same machine under load, one connection, MB/s; `tests/network/figures.rs` prints them. The
//! guest is another kernel, and for the last two links a thread that copies frames stands for the
//! machine monitor. What counts is the MTU, since each frame is a system call on both sides.
//!
//! | link, MTU | out of the sandbox | into it | dialed in | and back |
//! |---|---|---|---|---|
//! | TUN, 65,535 | 1,390 | 1,170 | 2,310 | 1,620 |
//! | TAP, 65,521 | 1,340 | 1,240 | 1,770 | 1,490 |
//! | TAP, 1500 | 430 | 280 | 260 | 450 |
//! | wire, 1500 | 240 | 190 | 210 | 250 |
//! | pair, 65,521 | 870 | 810 | 870 | 880 |
//! | pair, 1500 | 230 | 150 | 160 | 280 |
//!
//! # How it runs
//!
//! One thread does everything: a packet in, the connection it belongs to, the host's socket. It
//! sleeps in `epoll` while nothing happens and sets no timer for an idle connection.

mod control;
mod counters;
mod denials;
mod dial;
mod dns;
mod engine;
mod ethernet;
mod flow;
mod fragments;
mod gate;
mod intercept;
mod orders;
mod pace;
mod packet;
mod peer;
mod port;
mod recovery;
mod sniff;
mod tcp;
mod udp;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::{Addresses, Link, Policy};
use denials::Denials;
use dns::Resolver;
use engine::Engine;
use gate::{Gate, Way};
use packet::Packet;
use port::{Arrival, Port};

/// How many packets are read before the connections get their turn.
const BATCH: usize = 32;

/// What the stack can be told beside its policy. The defaults are for use; tests change them.
#[derive(Debug)]
pub struct Options {
    /// Ways in: who connects to a socket is carried to this port of the sandbox, from the
    /// gateway's address and whatever the policy says. A connection that the sandbox refuses is
    /// closed at once, one that it does not answer after two seconds.
    pub dial: Vec<(UnixListener, u16)>,
    /// The socket of [`crate::control`].
    pub control: Option<UnixListener>,
    /// Bytes that the sandbox may send in a second, and as many that it may receive, what is dialed in
    /// included.
    pub rate: Option<u64>,
    /// Where the host's nameservers stand.
    pub resolv_conf: PathBuf,
    /// The host's own names.
    pub hosts: PathBuf,
    /// TCP connections at once, those being opened included. More are refused.
    pub max_tcp: usize,
    /// UDP and echo flows at once. The longest idle one makes room for a new one.
    pub max_udp: usize,
    /// How long a UDP flow lives without a packet.
    pub udp_idle: Duration,
    /// The same for a flow to port 53.
    pub dns_idle: Duration,
    /// How long a name's addresses stay allowed at least, whatever their TTL says.
    pub min_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dial: Vec::new(),
            control: None,
            rate: None,
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            hosts: PathBuf::from("/etc/hosts"),
            max_tcp: 4096,
            max_udp: 1024,
            udp_idle: Duration::from_secs(60),
            dns_idle: Duration::from_secs(10),
            min_ttl: Duration::from_secs(300),
        }
    }
}

/// What all tasks of the process share. There is one thread, and no borrow is held over an await.
struct Stack {
    port: Rc<Port>,
    engine: RefCell<Engine>,
    gate: Gate,
    denials: Denials,
    resolver: Resolver,
    tcp: tcp::Table,
    udp: udp::Table,
    options: Options,
}

/// Carries a sandbox's packets until the sandbox is gone.
///
/// It returns when what `life` stands for is over, or the link disappears. `life` is one of
/// - a process's descriptor (`pidfd_open`): until that process ends;
/// - a pipe or a Unix socket: until its other end is closed everywhere. If a process's descriptor
///   comes over the socket (`SCM_RIGHTS`, with one byte), that process counts from then on.
///
/// What is refused is written to standard error, a line each, at a limited rate.
///
/// # Errors
/// When the descriptors are not of the right kind, or the runtime cannot be made.
pub fn run(link: Link, life: OwnedFd, policy: Policy, mut options: Options) -> io::Result<()> {
    control::raise_open_files();
    control::return_memory();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let (dial, orders) = (std::mem::take(&mut options.dial), options.control.take());
        let stack = Rc::new(Stack::new(link, policy, options)?);
        for (listener, port) in dial {
            let listener = accepting(listener)?;
            tokio::task::spawn_local(dial::serve(stack.clone(), listener, port));
        }
        if let Some(listener) = orders {
            tokio::task::spawn_local(orders::serve(stack.clone(), accepting(listener)?));
        }
        tokio::select! {
            gone = control::ended(life) => gone,
            read = stack.clone().read_packets() => read,
            drained = stack.port.drain() => drained,
        }
    })
}

fn accepting(listener: UnixListener) -> io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

impl Stack {
    fn new(link: Link, policy: Policy, options: Options) -> io::Result<Self> {
        let port = Rc::new(Port::new(link, options.rate)?);
        Ok(Self {
            engine: RefCell::new(Engine::new(port.clone(), control::random()?)),
            port,
            gate: Gate::new(policy, options.min_ttl),
            denials: Denials::default(),
            resolver: Resolver::new(options.resolv_conf.clone(), options.hosts.clone()),
            tcp: tcp::Table::default(),
            udp: udp::Table::default(),
            options,
        })
    }

    async fn read_packets(self: Rc<Self>) -> io::Result<()> {
        let mut buffer = vec![0; usize::from(Addresses::MTU)];
        loop {
            let mut arrival = Some(self.port.read(&mut buffer).await?);
            let mut turns = BATCH;
            while let Some(arrived) = arrival {
                match arrived {
                    Arrival::Packet(length) => self.dispatch(&mut buffer, length),
                    Arrival::Other => {}
                    Arrival::Gone => return Ok(()),
                }
                turns -= 1;
                // What is read here is dispatched, so the last turn reads nothing.
                arrival = (turns > 0).then(|| self.port.try_read(&mut buffer)).flatten();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Decides by another policy from now on, and ends what it does not allow.
    fn replace_policy(&self, policy: Policy) {
        self.gate.replace(policy);
        self.tcp.recheck(|pair| self.tcp_way(pair.dst));
        self.udp.recheck(|pair| self.way(pair.dst), |pair| self.gate.echo(pair.dst.ip()));
    }

    /// Where a TCP connection goes.
    fn tcp_way(&self, to: SocketAddr) -> Way {
        self.gate.detour(to).unwrap_or_else(|| self.way(to))
    }

    /// Where a connection or a datagram goes. A name of the host's own file needs no question to
    /// our nameserver, since a sandbox may see the same file, so it is looked up here.
    fn way(&self, to: SocketAddr) -> Way {
        match self.gate.way(to) {
            Way::Denied => {
                for name in self.resolver.names_in_hosts(to.ip()) {
                    self.gate.learn(&name, &[(to.ip(), 0)]);
                }
                self.gate.way(to)
            }
            way => way,
        }
    }

    fn dispatch(self: &Rc<Self>, buffer: &mut Vec<u8>, length: usize) {
        let Some(bytes) = buffer.get(..length) else { return };
        let Some(packet) = Packet::parse(bytes) else { return self.dispatch_piece(bytes) };
        if packet.src.is_unspecified() || packet.src.is_multicast() || packet.src.is_loopback() {
            return;
        }
        match packet.protocol {
            packet::TCP => tcp::receive(self, buffer, length),
            packet::UDP => udp::receive(self, &packet),
            packet::ICMP | packet::ICMP_V6 => match ethernet::answer_solicitation(&packet) {
                Some(answer) => self.port.write(&answer),
                None => udp::receive_echo(self, &packet),
            },
            packet::FRAGMENT => self.dispatch_piece(bytes),
            _ => {}
        }
    }

    /// Takes a fragment, and with the last one the packet that it belongs to.
    fn dispatch_piece(self: &Rc<Self>, bytes: &[u8]) {
        if let Some(mut whole) = self.port.fragments.take(bytes) {
            let length = whole.len();
            self.dispatch(&mut whole, length);
        }
    }
}
