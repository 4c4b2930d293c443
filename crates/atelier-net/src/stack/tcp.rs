//! TCP connections being opened: the table of them, the decision, the dial, the answer.
//!
//! The sandbox's SYN is kept until the host's own connect has an outcome. So a program inside sees
//! "refused" when it was refused, and never a connection that closes at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Stack;
use super::flow::{self, Flow};
use super::gate::Way;
use super::packet::{Packet, Pair, Unreachable};
use super::peer::Peer;

/// Every connection of the sandbox.
#[derive(Default)]
pub(super) struct Table {
    entries: RefCell<HashMap<Pair, Entry>>,
}

enum Entry {
    /// The host's connect is under way; a notification calls it off.
    Dialing(Rc<Notify>),
    Open(Rc<Flow>),
}

/// Takes a TCP packet: the first `length` bytes of `buffer`.
pub(super) fn receive(stack: &Rc<Stack>, buffer: &mut Vec<u8>, length: usize) {
    let Some(packet) = buffer.get(..length).and_then(Packet::parse) else { return };
    let (Some(pair), Some(flags)) = (packet.pair(), packet.tcp_flags()) else { return };
    let table = stack.tcp.entries.borrow();
    match table.get(&pair) {
        Some(Entry::Open(flow)) => {
            flow.receive(&stack.engine, buffer, length);
        }
        Some(Entry::Dialing(cancel)) => {
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
    let way = stack.way(pair.dst);
    if way == Way::Denied {
        stack.denials.note(&pair.dst);
        return refuse(stack, syn);
    }
    if full {
        return refuse(stack, syn);
    }
    let cancel = Rc::new(Notify::new());
    let entry = Entry::Dialing(cancel.clone());
    stack.tcp.entries.borrow_mut().insert(pair, entry);
    let (stack, syn) = (stack.clone(), syn.bytes().to_vec());
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = carry(&stack, pair, way, syn) => {}
            () = cancel.notified() => {}
        }
        stack.tcp.entries.borrow_mut().remove(&pair);
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
    stack.tcp.entries.borrow_mut().insert(pair, Entry::Open(flow.clone()));
    let length = syn.len();
    flow.receive(&stack.engine, &mut syn, length);
    drop(syn);
    flow::pump(stack, &flow, peer).await;
}

/// Tells the sandbox why the host could not connect.
fn answer(stack: &Stack, syn: &[u8], error: &io::Error) {
    let Some(packet) = Packet::parse(syn) else { return };
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => {
            stack.tun.write(&packet.unreachable(Unreachable::Network));
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => {
            stack.tun.write(&packet.unreachable(Unreachable::Host));
        }
        _ => refuse(stack, &packet),
    }
}

fn refuse(stack: &Stack, packet: &Packet<'_>) {
    if let Some(reset) = packet.reset() {
        stack.tun.write(&reset);
    }
}
