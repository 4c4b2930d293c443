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
//! # How it runs
//!
//! One thread does everything: a packet in, the connection it belongs to, the host's socket. It
//! sleeps in `epoll` while nothing happens and sets no timer for an idle connection.

mod control;
mod denials;
mod dns;
mod engine;
mod flow;
mod gate;
mod packet;
mod peer;
mod tcp;
mod tun;
mod udp;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::{Addresses, Policy};
use denials::Denials;
use dns::Resolver;
use engine::Engine;
use gate::{Gate, Way};
use packet::Packet;
use tun::Tun;

/// How many packets are read before the connections get their turn.
const BATCH: usize = 32;

/// What the stack can be told beside its policy. The defaults are for use; tests change them.
#[derive(Debug, Clone)]
pub struct Options {
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
    tun: Rc<Tun>,
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
/// `tun` is what [`configure_inside`](crate::configure_inside) returned. When the other end of
/// `control` (a pipe or a socket) is closed everywhere, or the device disappears, it returns.
/// What is refused is written to standard error, a line each, at a limited rate.
///
/// # Errors
/// When the descriptors are not of the right kind, or the runtime cannot be made.
pub fn run(tun: OwnedFd, control: OwnedFd, policy: Policy, options: Options) -> io::Result<()> {
    control::raise_open_files();
    control::return_memory();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let stack = Rc::new(Stack::new(tun, policy, options)?);
        tokio::select! {
            gone = control::closed(control) => gone,
            read = stack.clone().read_packets() => read,
        }
    })
}

impl Stack {
    fn new(tun: OwnedFd, policy: Policy, options: Options) -> io::Result<Self> {
        let tun = Rc::new(Tun::new(tun)?);
        Ok(Self {
            engine: RefCell::new(Engine::new(tun.clone(), control::random()?)),
            tun,
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
            let mut length = self.tun.read(&mut buffer).await?;
            for _ in 0..BATCH {
                if length == 0 {
                    return Ok(());
                }
                self.dispatch(&mut buffer, length);
                match self.tun.try_read(&mut buffer) {
                    Some(next) => length = next,
                    None => break,
                }
            }
            tokio::task::yield_now().await;
        }
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
        let Some(packet) = buffer.get(..length).and_then(Packet::parse) else { return };
        if packet.src.is_unspecified() || packet.src.is_multicast() || packet.src.is_loopback() {
            return;
        }
        match packet.protocol {
            packet::TCP => tcp::receive(self, buffer, length),
            packet::UDP => udp::receive(self, &packet),
            packet::ICMP | packet::ICMP_V6 => udp::receive_echo(self, &packet),
            _ => {}
        }
    }
}
