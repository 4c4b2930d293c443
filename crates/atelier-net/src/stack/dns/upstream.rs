//! The host's nameservers and how they are asked: each question from a socket and with an
//! identifier of its own, so that nobody can answer in their place.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};

use super::message::{Query, Reply};
use super::watched::Watched;
use super::{read_framed, write_framed};

/// How long each nameserver has, as in resolv.conf(5).
const TIMEOUT: Duration = Duration::from_secs(5);
/// `MAXNS` of resolv.conf(5).
const MAX_SERVERS: usize = 3;

/// How a question came, and how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// The nameservers of `resolv.conf`, read again when it changes.
pub(super) struct Upstreams {
    servers: Watched<Vec<SocketAddr>>,
}

impl Upstreams {
    pub(super) fn new(resolv_conf: PathBuf) -> Self {
        Self { servers: Watched::new(resolv_conf, parse) }
    }

    /// Asks one nameserver after the other until one answers.
    pub(super) async fn ask(&self, query: &Query, transport: Transport) -> Option<Reply> {
        let servers = self.servers.get().clone();
        for server in servers {
            let asked = async {
                match transport {
                    Transport::Udp => ask_udp(server, query).await,
                    Transport::Tcp => ask_tcp(server, query).await,
                }
            };
            if let Ok(Ok(Some(reply))) = tokio::time::timeout(TIMEOUT, asked).await {
                return Some(reply);
            }
        }
        None
    }
}

async fn ask_udp(server: SocketAddr, query: &Query) -> io::Result<Option<Reply>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let id = identifier()?;
    let Some(question) = query.forwarded(id) else { return Ok(None) };
    socket.send(&question).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is no reply to this question is somebody's guess; the real one may still come.
        let reply = query.accept(id, buffer.get(..length).unwrap_or_default().to_vec());
        if reply.is_some() {
            return Ok(reply);
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &Query) -> io::Result<Option<Reply>> {
    let mut stream = TcpStream::connect(server).await?;
    let id = identifier()?;
    let Some(question) = query.forwarded(id) else { return Ok(None) };
    write_framed(&mut stream, &question).await?;
    Ok(query.accept(id, read_framed(&mut stream).await?))
}

fn identifier() -> io::Result<u16> {
    Ok(super::super::control::random()? as u16)
}

/// The `nameserver` lines; the host itself when there are none (resolv.conf(5)).
fn parse(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let ip = words.next().filter(|w| *w == "nameserver").and_then(|_| words.next())?;
        // A link-local server names its interface after a percent sign.
        let (ip, zone) = ip.split_once('%').map_or((ip, None), |(ip, zone)| (ip, Some(zone)));
        Some(match (ip.parse().ok()?, zone) {
            (IpAddr::V6(ip), Some(zone)) => {
                std::net::SocketAddrV6::new(ip, 53, 0, interface(zone)).into()
            }
            (ip, _) => SocketAddr::new(ip, 53),
        })
    };
    let mut servers: Vec<_> = text.lines().filter_map(server).take(MAX_SERVERS).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    servers
}

fn interface(name: &str) -> u32 {
    let Ok(name) = std::ffi::CString::new(name) else { return 0 };
    // SAFETY: the name is NUL-terminated and lives through the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_from_resolv_conf() {
        let text = "# x\nsearch lan\nnameserver 9.9.9.9\nnameserver ::1\n\tnameserver 1.1.1.1 \nnameserver 8.8.8.8\n";
        let servers: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["9.9.9.9:53", "[::1]:53", "1.1.1.1:53"]);
        assert_eq!(parse("options x\n"), ["127.0.0.1:53".parse().unwrap()]);
    }
}
