//! smoltcp's interface over the TUN device. Every connection has a socket set of its own, so that
//! a packet costs the same with one connection as with a thousand: this process looks the
//! connection up, and smoltcp sees no other.

use std::mem;
use std::rc::Rc;

use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::HardwareAddress;

use super::tun::Tun;
use crate::Addresses;

/// The TCP engine: one for the process.
pub(super) struct Engine {
    interface: Interface,
    device: Device,
    started: std::time::Instant,
}

struct Device {
    tun: Rc<Tun>,
    /// The packet to be processed, and its length while it is there.
    inbound: Vec<u8>,
    waiting: Option<usize>,
    outbound: Vec<u8>,
}

impl Engine {
    pub(super) fn new(tun: Rc<Tun>, seed: u64) -> Self {
        let mut device = Device {
            tun,
            inbound: Vec::new(),
            waiting: None,
            outbound: vec![0; usize::from(Addresses::MTU)],
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
        let now = self.now();
        mem::swap(buffer, &mut self.device.inbound);
        self.device.waiting = Some(length);
        self.interface.poll_ingress_single(now, &mut self.device, sockets);
        self.device.waiting = None;
        mem::swap(buffer, &mut self.device.inbound);
    }

    /// Sends all that the sockets of a set have to send now.
    pub(super) fn send(&mut self, sockets: &mut SocketSet<'static>) {
        let now = self.now();
        while self.interface.poll_egress(now, &mut self.device, sockets)
            == PollResult::SocketStateChanged
        {}
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
        Some((Inbound(packet), Outbound { tun: &self.tun, buffer: &mut self.outbound }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        Some(Outbound { tun: &self.tun, buffer: &mut self.outbound })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(Addresses::MTU);
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
    tun: &'a Tun,
    buffer: &'a mut Vec<u8>,
}

impl phy::TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let packet = &mut self.buffer[..length];
        let result = f(packet);
        self.tun.write(packet);
        result
    }
}
