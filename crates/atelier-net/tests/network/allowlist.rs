//! An allowlist that is enforced: by name, by address, and against those who would trick it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use atelier_net::Mode;
use simple_dns::{RCODE, TYPE};

use crate::dns::{resolve, resolve_at};
use crate::world::{HOST, World, connect};

const PORT: u16 = 4443;
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A server that greets, on all addresses of the host.
fn greeter(world: &World) {
    let listener =
        world.outside(|| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"hi");
        }
    });
}

fn greeting(to: impl Into<SocketAddr>) -> Result<String, ErrorKind> {
    let mut text = String::new();
    let mut stream = connect(to).map_err(|e| e.kind())?;
    stream.read_to_string(&mut text).map_err(|e| e.kind())?;
    Ok(text)
}

const REFUSED: Result<String, ErrorKind> = Err(ErrorKind::ConnectionRefused);

#[test]
fn an_allowed_name_opens_its_addresses_once_it_was_resolved() {
    let world = World::new(Mode::Allowlist, &["a.test:4443"]);
    greeter(&world);
    world.nameserver(&[("a.test", "203.0.113.1")]);
    world.inside(|| {
        assert_eq!(greeting((HOST, PORT)), REFUSED, "before the name was asked for");
        assert_eq!(resolve("a.test"), Ok(vec![HOST.into()]));
        assert_eq!(greeting((HOST, PORT)).unwrap(), "hi");
        assert_eq!(greeting((HOST, PORT + 1)), REFUSED, "another port");
        assert_eq!(greeting((OTHER, PORT)), REFUSED, "another address");
    });
}

#[test]
fn a_star_allows_the_names_below() {
    let world = World::new(Mode::Allowlist, &["*.a.test:4443"]);
    greeter(&world);
    world.nameserver(&[("x.y.a.test", "203.0.113.1"), ("a.test", "192.0.2.1")]);
    world.inside(|| {
        assert_eq!(resolve("x.y.a.test"), Ok(vec![HOST.into()]));
        assert_eq!(greeting((HOST, PORT)).unwrap(), "hi");
        assert_eq!(resolve("a.test"), Err(RCODE::Refused));
        assert_eq!(greeting((OTHER, PORT)), REFUSED);
    });
}

#[test]
fn a_name_that_no_rule_allows_is_not_even_asked_for() {
    let world = World::new(Mode::Allowlist, &["a.test"]);
    let asked = world.nameserver(&[("secret.b.test", "203.0.113.1"), ("a.test", "203.0.113.1")]);
    world.inside(|| {
        assert_eq!(resolve("secret.b.test"), Err(RCODE::Refused));
        let other_nameserver: SocketAddr = "8.8.8.8:53".parse().unwrap();
        assert_eq!(resolve_at(other_nameserver, "secret.b.test", TYPE::A), Err(RCODE::Refused));
        assert_eq!(resolve_at(other_nameserver, "a.test", TYPE::A), Ok(vec![HOST.into()]));
    });
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["a.test"], "nothing was carried out by DNS");
}

#[test]
fn a_name_that_leads_to_the_host_opens_nothing() {
    let world = World::new(Mode::Allowlist, &["rebind.test", "*:1"]);
    greeter(&world);
    world.nameserver(&[
        ("rebind.test", "127.0.0.1"),
        ("rebind.test", "169.254.169.254"),
        ("rebind.test", "198.51.100.1"),
        ("rebind.test", "203.0.113.1"),
    ]);
    world.inside(|| {
        assert_eq!(resolve("rebind.test").unwrap().len(), 4);
        for special in ["169.254.169.254", "198.51.100.1"] {
            let ip: IpAddr = special.parse().unwrap();
            assert_eq!(greeting((ip, PORT)), REFUSED, "{special}");
        }
        assert_eq!(greeting((HOST, PORT)).unwrap(), "hi", "its public address is as it was");
    });
}

#[test]
fn addresses_and_networks_are_allowed_by_number() {
    let world = World::new(Mode::Allowlist, &["203.0.113.0/24:4443", "localhost:4443"]);
    greeter(&world);
    world.inside(|| {
        assert_eq!(greeting((HOST, PORT)).unwrap(), "hi");
        assert_eq!(greeting((OTHER, PORT)), REFUSED);
        assert_eq!(greeting((Ipv4Addr::new(198, 51, 100, 1), PORT)).unwrap(), "hi", "the loopback");
    });
}

#[test]
fn a_name_of_the_hosts_file_opens_its_address_without_a_question() {
    let world = World::new(Mode::Allowlist, &["db.corp:4443"]);
    std::fs::write(world.folder.path().join("hosts"), "203.0.113.1 db.corp\n").unwrap();
    greeter(&world);
    world.inside(|| {
        assert_eq!(greeting((HOST, PORT)).unwrap(), "hi");
        assert_eq!(greeting((OTHER, PORT)), REFUSED);
    });
}

#[test]
fn no_network_means_none() {
    let world = World::new(Mode::None, &["203.0.113.1"]);
    greeter(&world);
    world.inside(|| {
        assert_eq!(greeting((HOST, PORT)), REFUSED);
        assert_eq!(resolve("a.test"), Err(RCODE::Refused));
    });
}
