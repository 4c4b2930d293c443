//! UDP and echo through the stack.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use atelier_net::Mode;

use crate::world::{HOST, LIMIT, World};

/// Sends each datagram back to where it came from.
pub fn echo(world: &World) -> SocketAddr {
    let socket = world.datagrams(HOST);
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..n], from).unwrap();
        }
    });
    address
}

pub fn client(to: impl Into<SocketAddr>) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.connect(to.into()).unwrap();
    socket
}

#[test]
fn datagrams_of_every_size_come_back_whole() {
    let world = World::new(Mode::Open, &[]);
    let to = echo(&world);
    world.inside(move || {
        let socket = client(to);
        for size in [0, 1, 3, 512, 1472, 1473, 9000, 65_507] {
            let sent: Vec<u8> = (0..size).map(|n| n as u8).collect();
            socket.send(&sent).unwrap();
            let mut back = vec![0; 65_536];
            let n = socket.recv(&mut back).unwrap();
            assert!(back[..n] == sent, "{size} bytes");
        }
    });
}

#[test]
fn a_closed_or_denied_port_is_an_error_and_no_silence() {
    let world = World::new(Mode::Open, &[]);
    world.inside(|| {
        let socket = client((HOST, 9));
        socket.send(b"x").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let metadata: SocketAddr = "169.254.169.254:80".parse().unwrap();
        let socket = client(metadata);
        socket.send(b"x").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::HostUnreachable);
    });
}

#[test]
fn flows_beyond_the_limit_take_the_place_of_the_oldest() {
    let world = World::with(Mode::Open, &[], |options| options.max_udp = 4);
    let to = echo(&world);
    world.inside(move || {
        for n in 0..50_u8 {
            let socket = client(to);
            socket.send(&[n]).unwrap();
            let mut back = [0; 8];
            assert_eq!(socket.recv(&mut back).unwrap(), 1);
            assert_eq!(back[0], n);
        }
    });
}

#[test]
fn an_idle_flow_ends_and_the_next_datagram_starts_a_new_one() {
    let idle = Duration::from_millis(50);
    let world = World::with(Mode::Open, &[], move |options| options.udp_idle = idle);
    let server = world.datagrams(HOST);
    let to = server.local_addr().unwrap();
    let (asked, ask) = std::sync::mpsc::channel::<()>();
    let inside = world.spawn_inside(move || {
        let socket = client(to);
        while ask.recv().is_ok() {
            socket.send(b"x").unwrap();
        }
    });
    let source = || {
        asked.send(()).unwrap();
        server.recv_from(&mut [0; 8]).unwrap().1
    };
    let first = source();
    // The host's side of the flow has another port once the first has ended.
    while source() == first {
        std::thread::sleep(4 * idle);
    }
    drop(asked);
    inside.join().unwrap();
}

#[test]
fn an_echo_is_answered_by_who_is_allowed() {
    let world = World::new(Mode::Open, &[]);
    world
        .outside(|| std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap());
    let ping = |to: &'static str| {
        world.inside(move || {
            let output = Command::new("ping").args(["-n", "-c", "1", "-W", "5", to]).output();
            output.map(|o| (o.status.success(), String::from_utf8_lossy(&o.stdout).into_owned()))
        })
    };
    let Ok((answered, text)) = ping("203.0.113.1") else {
        eprintln!("skipped: there is no ping here");
        return;
    };
    assert!(answered, "{text}");
    assert!(ping("198.51.100.1").unwrap().0, "the gateway");
    assert!(ping("2001:db8::1").unwrap().0, "over IPv6");
    let (answered, text) = ping("169.254.169.254").unwrap();
    assert!(!answered && text.contains("filtered"), "{text}");
}
