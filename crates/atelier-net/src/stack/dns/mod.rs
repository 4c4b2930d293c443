//! The sandbox's nameserver: it decides by name, asks the host's own nameservers, and remembers
//! what allowed names resolved to. It has no cache; the host's resolvers do.

mod hosts;
mod message;
mod upstream;
mod watched;

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use simple_dns::RCODE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Stack;
use super::packet::{self, Pair};
use crate::Addresses;
use hosts::Hosts;
use message::Query;
use upstream::{Transport, Upstreams};

/// Questions that wait for an answer at once. More are dropped, and asked again by their sender.
const MAX_WAITING: usize = 256;
/// How long a TCP connection to the nameserver may say nothing (RFC 7766 section 6.2.3).
const STREAM_IDLE: Duration = Duration::from_secs(10);

/// What the nameserver knows.
pub(super) struct Resolver {
    upstreams: Upstreams,
    hosts: Hosts,
    waiting: Cell<usize>,
}

impl Resolver {
    pub(super) fn new(resolv_conf: PathBuf, hosts: PathBuf) -> Self {
        Self {
            upstreams: Upstreams::new(resolv_conf),
            hosts: Hosts::new(hosts),
            waiting: Cell::new(0),
        }
    }

    /// The names that the host's own file gives to an address.
    pub(super) fn names_in_hosts(&self, ip: IpAddr) -> Vec<String> {
        self.hosts.names(ip)
    }
}

/// Answers a question that came as a datagram, from the address that it was sent to.
pub(super) fn serve_datagram(stack: &Rc<Stack>, pair: Pair, question: &[u8]) {
    if stack.resolver.waiting.get() >= MAX_WAITING {
        return;
    }
    stack.resolver.waiting.update(|n| n + 1);
    let (stack, question) = (stack.clone(), question.to_vec());
    tokio::task::spawn_local(async move {
        let reply = answer(&stack, &question, Transport::Udp).await;
        stack.resolver.waiting.update(|n| n - 1);
        if let Some(packet) = reply.and_then(|reply| packet::udp(pair.dst, pair.src, &reply)) {
            stack.port.write(&packet);
        }
    });
}

/// Answers the questions of one TCP connection, each after its length (RFC 1035 section 4.2.2).
pub(super) async fn serve_stream(stack: Rc<Stack>, mut stream: UnixStream) {
    loop {
        let question = tokio::time::timeout(STREAM_IDLE, read_framed(&mut stream)).await;
        let Ok(Ok(question)) = question else { return };
        let Some(reply) = answer(&stack, &question, Transport::Tcp).await else { return };
        if write_framed(&mut stream, &reply).await.is_err() {
            return;
        }
    }
}

async fn read_framed<S: AsyncReadExt + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_framed<S: AsyncWriteExt + Unpin>(stream: &mut S, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(2 + message.len());
    framed.extend(length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

/// Asks for a name's addresses as the sandbox would, so that they are known afterwards.
pub(super) async fn look_up(stack: &Rc<Stack>, name: &str, v6: bool) {
    if let Some(question) = message::question(name, v6) {
        answer(stack, &question, Transport::Udp).await;
    }
}

/// The reply to a question. `None` for what is no question at all.
async fn answer(stack: &Stack, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let query = match Query::parse(question)? {
        Ok(query) => query,
        Err(reply) => return Some(reply),
    };
    let name = query.name();
    if name == Addresses::HOST_NAME {
        return query.addresses(&[Addresses::GATEWAY_V4.into(), Addresses::GATEWAY_V6.into()]);
    }
    if !stack.gate.resolves(name) {
        if query.asks_addresses() {
            stack.denials.note(&name);
        }
        return query.failure(RCODE::Refused);
    }
    let known = stack.resolver.hosts.addresses(name);
    if !known.is_empty() && query.asks_addresses() {
        let known_with_ttl: Vec<_> = known.iter().map(|ip| (*ip, message::OWN_TTL)).collect();
        stack.gate.learn(name, &known_with_ttl);
        return query.addresses(&known);
    }
    match stack.resolver.upstreams.ask(&query, transport).await {
        Some((reply, found)) => {
            stack.gate.learn(name, &found);
            Some(reply)
        }
        None => query.failure(RCODE::ServerFailure),
    }
}
