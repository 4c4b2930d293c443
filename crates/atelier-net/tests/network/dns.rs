//! The sandbox's nameserver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use atelier_net::{Addresses, Mode};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, RCODE, TYPE};

use crate::world::{LIMIT, World, connect, read_framed, replace, write_framed};

pub const DNS: (Ipv4Addr, u16) = (Addresses::DNS_V4, 53);

fn question(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(77);
    let name = Name::new_unchecked(name);
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

fn read(reply: &[u8]) -> Result<Vec<IpAddr>, RCODE> {
    let reply = Packet::parse(reply).unwrap();
    assert_eq!(reply.id(), 77);
    let address = |data: &RData<'_>| match data {
        RData::A(a) => Some(IpAddr::V4(a.address.into())),
        RData::AAAA(a) => Some(IpAddr::V6(a.address.into())),
        _ => None,
    };
    match reply.rcode() {
        RCODE::NoError => Ok(reply.answers.iter().filter_map(|r| address(&r.rdata)).collect()),
        code => Err(code),
    }
}

/// Asks by UDP from this thread's namespace.
pub fn resolve_at(
    server: impl Into<SocketAddr>,
    name: &str,
    kind: TYPE,
) -> Result<Vec<IpAddr>, RCODE> {
    let server = server.into();
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.connect(server).unwrap();
    socket.send(&question(name, kind)).unwrap();
    let mut buffer = [0; 2048];
    let n = socket.recv(&mut buffer).unwrap();
    read(&buffer[..n])
}

/// Asks the sandbox's nameserver for IPv4 addresses.
pub fn resolve(name: &str) -> Result<Vec<IpAddr>, RCODE> {
    resolve_at(DNS, name, TYPE::A)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn names_are_asked_of_the_hosts_nameserver() {
    let world = World::new(Mode::Open, &[]);
    world.nameserver(&[("a.test", "203.0.113.1"), ("a.test", "2001:db8::1")]);
    world.inside(|| {
        assert_eq!(resolve("a.test"), Ok(vec![ip("203.0.113.1")]));
        assert_eq!(resolve_at(DNS, "A.Test", TYPE::AAAA), Ok(vec![ip("2001:db8::1")]));
        assert_eq!(
            resolve_at((Addresses::DNS_V6, 53), "a.test", TYPE::A),
            Ok(vec![ip("203.0.113.1")])
        );
        assert_eq!(resolve("missing.test"), Err(RCODE::NameError));
    });
}

#[test]
fn the_host_has_a_name_of_its_own() {
    let world = World::new(Mode::Open, &[]);
    world.inside(|| {
        assert_eq!(resolve("host.atelier.internal"), Ok(vec![Addresses::GATEWAY_V4.into()]));
    });
}

#[test]
fn several_questions_go_over_one_tcp_connection() {
    let world = World::new(Mode::Open, &[]);
    world.nameserver(&[("a.test", "203.0.113.1"), ("b.test", "203.0.113.2")]);
    world.inside(|| {
        let mut stream = connect(DNS).unwrap();
        for (name, address) in [("a.test", "203.0.113.1"), ("b.test", "203.0.113.2")] {
            write_framed(&mut stream, &question(name, TYPE::A));
            assert_eq!(read(&read_framed(&mut stream).unwrap()), Ok(vec![ip(address)]));
        }
    });
}

#[test]
fn a_silent_nameserver_is_a_failure_and_a_changed_resolv_conf_is_read_again() {
    let world = World::new(Mode::Open, &[]);
    world.nameserver(&[("a.test", "203.0.113.1")]);
    let resolv_conf = world.folder.path().join("resolv.conf");
    replace(&resolv_conf, "nameserver 203.0.113.1\n");
    assert_eq!(world.inside(|| resolve("a.test")), Err(RCODE::ServerFailure));
    replace(&resolv_conf, "nameserver 203.0.113.1\nnameserver 203.0.113.53\n");
    assert_eq!(world.inside(|| resolve("a.test")), Ok(vec![ip("203.0.113.1")]));
}

#[test]
fn the_hosts_file_is_known() {
    let world = World::new(Mode::Open, &[]);
    std::fs::write(world.folder.path().join("hosts"), "10.9.8.7 db.corp\n127.0.0.1 me.corp\n")
        .unwrap();
    world.nameserver(&[]);
    world.inside(|| {
        assert_eq!(resolve("db.corp"), Ok(vec![ip("10.9.8.7")]));
        assert_eq!(resolve("me.corp"), Err(RCODE::NameError), "loopback is not the sandbox's");
    });
}

#[test]
fn garbage_gets_no_answer_and_does_no_harm() {
    let world = World::new(Mode::Allowlist, &["a.test"]);
    world.nameserver(&[("a.test", "203.0.113.1")]);
    world.inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for n in 0..600_usize {
            let garbage: Vec<u8> = (0..n).map(|i| (i * 31 + n * 7) as u8).collect();
            socket.send_to(&garbage, DNS).unwrap();
        }
        assert_eq!(resolve("a.test"), Ok(vec![ip("203.0.113.1")]));
    });
}
