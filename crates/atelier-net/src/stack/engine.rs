//! smoltcp's interface over the link. Every connection has a socket set of its own, so that
//! a packet costs the same with one connection as with a thousand: this process looks the
//! connection up, and smoltcp sees no other.

use std::mem;
use std::rc::Rc;

use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::HardwareAddress;

use super::packet::Pair;
use super::port::Port;
use super::recovery::Recovery;

/// The TCP engine: one for the process.
pub(super) struct Engine {
    interface: Interface,
    device: Device,
    started: std::time::Instant,
}

struct Device {
    port: Rc<Port>,
    /// The packet to be processed, and its length while it is there.
    inbound: Vec<u8>,
    waiting: Option<usize>,
    outbound: Vec<u8>,
    /// That of the connection whose turn it is.
    recovery: Recovery,
}

impl Engine {
    pub(super) fn new(port: Rc<Port>, seed: u64) -> Self {
        let mut device = Device {
            port,
            inbound: Vec::new(),
            waiting: None,
            outbound: Vec::new(),
            recovery: Recovery::default(),
        };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        // It answers for every address there is.
        interface.set_any_ip(true);
        Self { interface, device, started: std::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        let micros = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        Instant::from_micros(micros)
    }

    /// Gives a packet, the first `length` bytes of `buffer`, to the sockets of a set.
    pub(super) fn receive(
        &mut self,
        buffer: &mut Vec<u8>,
        length: usize,
        sockets: &mut SocketSet<'static>,
    ) {
        // What is sent here are answers without data, which need no recovery.
        let now = self.now();
        mem::swap(buffer, &mut self.device.inbound);
        self.device.waiting = Some(length);
        self.interface.poll_ingress_single(now, &mut self.device, sockets);
        self.device.waiting = None;
        mem::swap(buffer, &mut self.device.inbound);
    }

    /// Opens a connection to the sandbox: from `pair.dst` to `pair.src`, since a pair is as the
    /// sandbox sees it.
    pub(super) fn connect(&mut self, socket: &mut tcp::Socket<'static>, pair: Pair) -> Option<()> {
        socket.connect(self.interface.context(), pair.src, pair.dst).ok()
    }

    /// Begins with the packet that was sent last.
    pub(super) fn last_sent(&self) -> &[u8] {
        &self.device.outbound
    }

    /// Sends all that the sockets of a set have to send now. The recovery
    /// is told of each packet, on a link that may lose it.
    pub(super) fn send(&mut self, sockets: &mut SocketSet<'static>, recovery: &mut Recovery) {
        let now = self.now();
        mem::swap(&mut self.device.recovery, recovery);
        while self.interface.poll_egress(now, &mut self.device, sockets)
            == PollResult::SocketStateChanged
        {}
        mem::swap(&mut self.device.recovery, recovery);
    }

    /// When the set must be looked at again though nothing arrives, if ever.
    pub(super) fn next(&mut self, sockets: &SocketSet<'static>) -> Option<tokio::time::Instant> {
        let now = self.now();
        let at = self.interface.poll_at(now, sockets)?;
        let wait = if at > now { at - now } else { smoltcp::time::Duration::ZERO };
        Some(tokio::time::Instant::now() + wait.into())
    }
}

impl phy::Device for Device {
    type RxToken<'a> = Inbound<'a>;
    type TxToken<'a> = Outbound<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Inbound<'_>, Outbound<'_>)> {
        let length = self.waiting.take()?;
        let packet = self.inbound.get(..length)?;
        let answer =
            Outbound { port: &self.port, buffer: &mut self.outbound, recovery: &mut self.recovery };
        Some((Inbound(packet), answer))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        // What cannot be sent now stays where it is.
        let free = !self.port.is_full();
        free.then_some(Outbound {
            port: &self.port,
            buffer: &mut self.outbound,
            recovery: &mut self.recovery,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.port.mtu();
        // The packets come from the kernel through memory: nothing can have changed a bit.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Inbound<'a>(&'a [u8]);

impl phy::RxToken for Inbound<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

struct Outbound<'a> {
    port: &'a Port,
    buffer: &'a mut Vec<u8>,
    recovery: &'a mut Recovery,
}

impl phy::TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let packet = &mut self.buffer[..length];
        let result = f(packet);
        self.port.write(packet);
        if self.port.loses() {
            self.recovery.sent(packet);
        }
        result
    }
}
