//! Connections that the control plane takes over: those whose first words name a host that the
//! policy lists. The connection to the server stands by then, opened as the policy allows; what is
//! handed over is both ends of it. Every other connection is carried as ever.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as Std;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::flow::{self, Flow};
use super::gate::Way;
use super::peer::Peer;
use super::sniff::{self, Words};
use super::{Stack, dns};
use crate::handover::{self, Ends, Handover};
use crate::{Addresses, Intercept, control};

/// How long a control plane that is not there is waited for: one that is replaced comes back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile.
const KNOCK: Duration = Duration::from_millis(100);

/// The far end of a connection: the server, or the control plane in between. None when that one can't
/// take it over: then the server must not see it either.
pub(super) async fn choose(
    stack: &Rc<Stack>,
    flow: &Flow,
    peer: Peer,
    way: Way,
    to: SocketAddr,
) -> Option<Peer> {
    if !matches!(way, Way::Out(_) | Way::Host(_)) {
        return Some(peer);
    }
    let Some(words) = flow::first_words(stack, flow, &peer, sniff::read).await else {
        return Some(peer);
    };
    let (host, secure) = match words {
        Words::Tls(Some(host)) => (host, true),
        Words::Http(Some(host)) => (host, false),
        _ => return Some(peer),
    };
    let Some(intercept) = stack.gate.intercept(&host, to.port()) else {
        return Some(peer);
    };
    let named = secure || is_named(stack, &host, way, to).await;
    let Intercept { socket, token, .. } = intercept;
    let said = Handover { token, host, port: to.port(), secure, named };
    match hand_over(peer, &socket, &said).await {
        Ok(near) => Some(Peer::Local(near)),
        Err(error) => {
            let why = format!("{to}: the control plane does not take over {}: {error}", said.host);
            stack.denials.note(&why);
            None
        }
    }
}

/// Whether the name of a request without TLS leads to the address, by our own nameserver.
async fn is_named(stack: &Rc<Stack>, host: &str, way: Way, to: SocketAddr) -> bool {
    if host == Addresses::HOST_NAME {
        return matches!(way, Way::Host(_));
    }
    let ip = to.ip().to_canonical();
    if stack.gate.is_named(host, ip) {
        return true;
    }
    dns::look_up(stack, host, ip.is_ipv6()).await;
    stack.gate.is_named(host, ip)
}

/// Gives the connection away; what comes back is the sandbox's side of it.
async fn hand_over(
    peer: Peer,
    socket: &std::path::Path,
    said: &Handover,
) -> io::Result<UnixStream> {
    let (near, far) = Std::pair()?;
    near.set_nonblocking(true)?;
    let ends = Ends { sandbox: far.into(), server: peer.into_server()? };
    let control = connect(socket).await?;
    loop {
        control.writable().await?;
        match control.try_io(Interest::WRITABLE, || handover::send(&control, said, &ends)) {
            Ok(()) => return UnixStream::from_std(near),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn connect(path: &std::path::Path) -> io::Result<UnixStream> {
    let end = Instant::now() + PATIENCE;
    loop {
        // Held until the connection stands.
        let (short, _folder) = control::short(path)?;
        match UnixStream::connect(&short).await {
            Err(_) if Instant::now() < end => tokio::time::sleep(KNOCK).await,
            outcome => return outcome,
        }
    }
}
