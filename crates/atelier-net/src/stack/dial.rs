//! The way in: connections of Unix sockets, carried to a port of the sandbox.

use std::rc::Rc;
use std::time::Duration;

use smoltcp::socket::tcp::State;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::Stack;
use super::flow::{self, Flow};
use super::packet::{Packet, Pair, TcpFlags};
use super::peer::Peer;

/// How long a sandbox that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked meanwhile. A guest that is just coming up loses what comes too early, and
/// TCP's own second until it asks again is most of what a start may take.
const KNOCK: Duration = Duration::from_millis(20);
/// The pause after a connection that could not be accepted: descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts for as long as the stack runs.
pub(super) async fn serve(stack: Rc<Stack>, listener: UnixListener, port: u16) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(carry(stack.clone(), stream, port))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A connection's whole life.
async fn carry(stack: Rc<Stack>, stream: UnixStream, port: u16) {
    let Some((pair, flow)) = stack.tcp.dial(port, |pair| Flow::dial(&stack.engine, pair)) else {
        return;
    };
    if established(&stack, &flow, pair).await {
        flow::pump(&stack, &flow, Peer::Local(stream)).await;
    }
    stack.tcp.remove(&pair);
}

/// Asks the sandbox until it answers. Whether it accepted.
async fn established(stack: &Stack, flow: &Flow, pair: Pair) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let syn = {
        let mut engine = stack.engine.borrow_mut();
        flow.send(&mut engine);
        let sent = Packet::parse(engine.last_sent());
        sent.filter(|packet| is_syn_of(packet, pair)).map(|packet| packet.bytes().to_vec())
    };
    while flow.state() == State::SynSent {
        tokio::select! {
            () = flow.arrival() => {}
            () = tokio::time::sleep_until(deadline) => return false,
            () = tokio::time::sleep(KNOCK) => match &syn {
                Some(syn) if !stack.port.is_full() => stack.port.write(syn),
                Some(_) => {}
                // The link was full before.
                None => flow.send(&mut stack.engine.borrow_mut()),
            },
        }
    }
    flow.state() != State::Closed
}

fn is_syn_of(packet: &Packet<'_>, pair: Pair) -> bool {
    let inward = Pair { src: pair.dst, dst: pair.src };
    packet.pair() == Some(inward) && packet.tcp_flags().is_some_and(TcpFlags::opens)
}
