//! TCP connections being opened: the table of them, the decision, the dial, the answer.
//!
//! The sandbox's SYN is kept until the host's own connect has an outcome. So a program inside sees
//! "refused" when it was refused, and never a connection that closes at once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Stack;
use super::flow::{self, Flow};
use super::gate::Way;
use super::packet::{Packet, Pair, Unreachable};
use super::peer::Peer;
use crate::Addresses;

/// Every connection of the sandbox.
#[derive(Default)]
pub(super) struct Table {
    entries: RefCell<HashMap<Pair, Entry>>,
    next_port: Cell<u16>,
}

enum Entry {
    /// The host's connect is under way; a notification calls it off.
    Dialing(Way, Rc<Notify>),
    Open(Way, Rc<Flow>),
    /// It comes from outside, and no policy is about it.
    Inward(Rc<Flow>),
}

/// The ports that connections to the sandbox come from (as of Linux, ip(7)).
const EPHEMERAL: std::ops::Range<u16> = 32_768..61_000;

impl Table {
    /// Puts a connection to the sandbox's `port` into the table, with a port of ours that is free.
    pub(super) fn dial(
        &self,
        port: u16,
        make: impl FnOnce(Pair) -> Option<Flow>,
    ) -> Option<(Pair, Rc<Flow>)> {
        let mut entries = self.entries.borrow_mut();
        let pair = EPHEMERAL.map(|_| self.next_pair(port)).find(|p| !entries.contains_key(p))?;
        let flow = Rc::new(make(pair)?);
        entries.insert(pair, Entry::Inward(flow.clone()));
        Some((pair, flow))
    }

    fn next_pair(&self, port: u16) -> Pair {
        let count = EPHEMERAL.end - EPHEMERAL.start;
        let next = self.next_port.replace((self.next_port.get() + 1) % count);
        Pair {
            src: (Addresses::SANDBOX_V4, port).into(),
            dst: (Addresses::GATEWAY_V4, EPHEMERAL.start + next).into(),
        }
    }

    /// Takes a connection out of the table.
    pub(super) fn remove(&self, pair: &Pair) {
        self.entries.borrow_mut().remove(pair);
    }

    /// Breaks all off.
    pub(super) fn cut(&self) {
        for entry in self.entries.borrow().values() {
            match entry {
                Entry::Dialing(_, cancel) => cancel.notify_one(),
                Entry::Open(_, flow) | Entry::Inward(flow) => flow.cut(),
            }
        }
    }

    /// Breaks off what would go another way now, or none.
    pub(super) fn recheck(&self, now: impl Fn(Pair) -> Way) {
        for (pair, entry) in self.entries.borrow().iter() {
            match entry {
                Entry::Dialing(way, cancel) if *way != now(*pair) => cancel.notify_one(),
                Entry::Open(way, flow) if *way != now(*pair) => flow.cut(),
                _ => {}
            }
        }
    }
}

/// Takes a TCP packet: the first `length` bytes of `buffer`.
pub(super) fn receive(stack: &Rc<Stack>, buffer: &mut Vec<u8>, length: usize) {
    let Some(packet) = buffer.get(..length).and_then(Packet::parse) else { return };
    let (Some(pair), Some(flags)) = (packet.pair(), packet.tcp_flags()) else { return };
    let table = stack.tcp.entries.borrow();
    match table.get(&pair) {
        Some(Entry::Open(_, flow) | Entry::Inward(flow)) => {
            flow.receive(stack, buffer, length);
        }
        Some(Entry::Dialing(_, cancel)) => {
            if flags.resets() {
                cancel.notify_one();
            }
        }
        None if flags.opens() => {
            let full = table.len() >= stack.options.max_tcp;
            drop(table);
            open(stack, &packet, pair, full);
        }
        None if flags.resets() => {}
        None => refuse(stack, &packet),
    }
}

/// Answers a SYN with a refusal, or starts a task that dials.
fn open(stack: &Rc<Stack>, syn: &Packet<'_>, pair: Pair, full: bool) {
    let way = stack.tcp_way(pair.dst);
    if way == Way::Denied {
        stack.denials.note(&pair.dst);
        return refuse(stack, syn);
    }
    if full {
        return refuse(stack, syn);
    }
    stack.port.counters.connection();
    let cancel = Rc::new(Notify::new());
    let entry = Entry::Dialing(way, cancel.clone());
    stack.tcp.entries.borrow_mut().insert(pair, entry);
    let (stack, syn) = (stack.clone(), syn.bytes().to_vec());
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = carry(&stack, pair, way, syn) => {}
            () = cancel.notified() => {}
        }
        stack.tcp.remove(&pair);
    });
}

/// A connection's whole life.
async fn carry(stack: &Rc<Stack>, pair: Pair, way: Way, mut syn: Vec<u8>) {
    let (peer, nameserver) = match Peer::dial(way).await {
        Ok(dialed) => dialed,
        Err(error) => return answer(stack, &syn, &error),
    };
    if let Some(far) = nameserver {
        tokio::task::spawn_local(super::dns::serve_stream(stack.clone(), far));
    }
    let Some(flow) = Flow::new(pair).map(Rc::new) else { return };
    stack.tcp.entries.borrow_mut().insert(pair, Entry::Open(way, flow.clone()));
    let length = syn.len();
    flow.receive(stack, &mut syn, length);
    drop(syn);
    let peer = match stack.gate.intercepts() {
        true => super::intercept::choose(stack, &flow, peer, way, pair.dst).await,
        false => Some(peer),
    };
    match peer {
        Some(peer) => flow::pump(stack, &flow, peer).await,
        None => flow::abort(stack, &flow),
    }
}

/// Tells the sandbox why the host could not connect.
fn answer(stack: &Stack, syn: &[u8], error: &io::Error) {
    let Some(packet) = Packet::parse(syn) else { return };
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => {
            stack.port.write(&packet.unreachable(Unreachable::Network));
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => {
            stack.port.write(&packet.unreachable(Unreachable::Host));
        }
        _ => refuse(stack, &packet),
    }
}

fn refuse(stack: &Stack, packet: &Packet<'_>) {
    if let Some(reset) = packet.reset() {
        stack.port.write(&reset);
    }
}
