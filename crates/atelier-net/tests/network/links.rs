//! The Ethernet links: with a kernel as the guest, what works over TUN works over each.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::Command;

use atelier_net::{Addresses, Mode};

use crate::datagrams;
use crate::dns::resolve;
use crate::streams::{echo, receive, says_back, send};
use crate::world::{HOST, Wiring, World, connect};

fn on_each(check: impl Fn(World, Wiring)) {
    for wiring in Wiring::ETHERNET.into_iter().chain([Wiring::Tap(Addresses::MTU_TAP)]) {
        println!("over {wiring:?}");
        check(World::wired(wiring, Mode::Open, &[], |_| {}), wiring);
    }
}

#[test]
fn servers_are_reached_or_refused_over_ipv4_and_ipv6() {
    on_each(|world, _| {
        let v4 = echo(&world, HOST);
        let v6 = echo(&world, "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        world.nameserver(&[("a.test", "203.0.113.1")]);
        world.inside(move || {
            says_back(v4);
            says_back(v6);
            assert_eq!(resolve("a.test"), Ok(vec![HOST.into()]));
            for refused in ["203.0.113.1:9", "169.254.169.254:80", "198.51.100.77:80"] {
                let error = connect(refused.parse::<SocketAddr>().unwrap()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{refused}");
            }
            let nowhere: SocketAddr = "8.8.8.8:443".parse().unwrap();
            assert_eq!(connect(nowhere).unwrap_err().kind(), ErrorKind::NetworkUnreachable);
        });
    });
}

#[test]
fn large_data_arrives_whole_both_ways_at_once() {
    const SIZE: usize = 10 << 20;
    on_each(|world, wiring| {
        let listener = world.listen(HOST);
        let to = listener.local_addr().unwrap();
        let both = |mut stream: std::net::TcpStream| {
            let mut other = stream.try_clone().unwrap();
            let sender = std::thread::spawn(move || send(&mut other, SIZE));
            (receive(&mut stream), sender.join().unwrap())
        };
        let server = std::thread::spawn(move || both(listener.accept().unwrap().0));
        let (got_inside, sent_inside) = world.inside(move || both(connect(to).unwrap()));
        let (got_outside, sent_outside) = server.join().unwrap();
        assert_eq!(got_outside, (SIZE, sent_inside), "out, over {wiring:?}");
        assert_eq!(got_inside, (SIZE, sent_outside), "in, over {wiring:?}");
    });
}

#[test]
fn datagrams_longer_than_the_mtu_go_in_pieces_and_come_back_whole() {
    on_each(|world, wiring| {
        let to = datagrams::echo(&world);
        world.inside(move || {
            let socket = datagrams::client(to);
            for size in [0, 1, 1472, 1473, 2961, 9000, 65_507] {
                let sent: Vec<u8> = (0..size).map(|n| (n * 3) as u8).collect();
                socket.send(&sent).unwrap();
                let mut back = vec![0; 65_536];
                let n = socket.recv(&mut back).unwrap_or_else(|e| panic!("{size} bytes: {e}"));
                assert!(back[..n] == sent, "{size} bytes over {wiring:?}");
            }
        });
    });
}

#[test]
fn every_neighbour_is_the_gateway_and_the_sandboxs_own_address_is_nobodys() {
    on_each(|world, _| {
        let to = echo(&world, HOST);
        let neighbours = world.inside(move || {
            says_back(to);
            let refused = connect((Addresses::GATEWAY_V6, 9)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let table = Command::new("ip").args(["neigh", "show"]).output().unwrap();
            String::from_utf8(table.stdout).unwrap()
        });
        let mac = Addresses::GATEWAY_MAC.map(|byte| format!("{byte:02x}")).join(":");
        for ip in ["198.51.100.1 ", "fd61:7465:6c69::1 "] {
            let line = neighbours.lines().find(|l| l.starts_with(ip));
            assert!(line.is_some_and(|l| l.contains(&mac)), "{ip} in {neighbours}");
        }
    });
}

#[test]
fn a_guest_with_another_hardware_address_is_learned() {
    let world = World::wired(Wiring::Pair(1500), Mode::Open, &[], |_| {});
    let to = echo(&world, HOST);
    world.inside(move || {
        let change = ["link", "set", "eth0", "address", "02:00:00:00:00:77"];
        assert!(Command::new("ip").args(change).status().unwrap().success());
        says_back(to);
    });
}

#[test]
fn two_hundred_connections_live_side_by_side_on_a_small_link() {
    let world = World::wired(Wiring::Pair(1500), Mode::Open, &[], |_| {});
    let to = echo(&world, HOST);
    world.inside(move || {
        let client = move |n: u8| {
            let mut stream = connect(to).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let sender = std::thread::spawn(move || send(&mut stream, 300_000 + usize::from(n)));
            assert_eq!(receive(&mut reader), (300_000 + usize::from(n), sender.join().unwrap()));
        };
        let clients: Vec<_> = (0..200).map(|n| std::thread::spawn(move || client(n))).collect();
        clients.into_iter().for_each(|c| c.join().unwrap());
    });
}
