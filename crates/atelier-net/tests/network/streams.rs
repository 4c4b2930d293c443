//! TCP through the stack.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::FromRawFd;

use atelier_net::{Addresses, Mode};
use sha2::{Digest, Sha256};

use crate::world::{HOST, World, connect};

/// Answers each connection with what it sends, until its end.
pub fn echo(world: &World, ip: impl Into<IpAddr>) -> SocketAddr {
    let listener = world.listen(ip);
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

pub fn says_back(to: SocketAddr) {
    let mut stream = connect(to).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "hello");
}

#[test]
fn a_server_on_the_network_is_reached_over_ipv4_and_ipv6() {
    let world = World::new(Mode::Open, &[]);
    let (v4, v6) = (echo(&world, HOST), echo(&world, "2001:db8::1".parse::<Ipv6Addr>().unwrap()));
    world.inside(move || {
        says_back(v4);
        says_back(v6);
    });
}

#[test]
fn what_belongs_to_the_host_is_refused_at_once() {
    let world = World::new(Mode::Open, &[]);
    let port = echo(&world, Ipv4Addr::UNSPECIFIED).port();
    world.inside(move || {
        let refused = |ip: &str| {
            let error = connect(SocketAddr::new(ip.parse().unwrap(), port)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{ip}");
        };
        refused("169.254.169.254");
        refused("198.51.100.1");
        refused("198.51.100.9");
        refused("fd61:7465:6c69::1");
        refused("fd00:ec2::254");
        refused("64:ff9b::7f00:1");
        refused("127.0.0.1");
    });
}

#[test]
fn the_hosts_loopback_is_reached_only_where_it_is_granted() {
    let port = 5432;
    let world = World::new(Mode::Open, &["localhost:5432"]);
    let listener = world.outside(move || std::net::TcpListener::bind(("127.0.0.1", port)).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.write_all(b"db").unwrap();
        }
    });
    world.inside(move || {
        let mut answer = String::new();
        connect((Addresses::GATEWAY_V4, port)).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "db");
        let error = connect((Addresses::GATEWAY_V4, port + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_closed_port_is_seen_as_refused_and_a_missing_network_as_unreachable() {
    let world = World::new(Mode::Open, &[]);
    world.inside(|| {
        let error = connect((HOST, 9)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let nowhere: SocketAddr = "8.8.8.8:443".parse().unwrap();
        assert_eq!(connect(nowhere).unwrap_err().kind(), ErrorKind::NetworkUnreachable);
        let nowhere: SocketAddr = "[2606:4700::1111]:443".parse().unwrap();
        assert_eq!(connect(nowhere).unwrap_err().kind(), ErrorKind::NetworkUnreachable);
    });
}

#[test]
fn each_side_can_end_its_data_and_go_on_reading() {
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        stream.write_all(b"after your end").unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut late = String::new();
        stream.read_to_string(&mut late).unwrap();
        (got, late)
    });
    world.inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(b"question").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        assert_eq!(got, "after your end");
        let mut stream = connect(to).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        stream.write_all(b"after the server's end").unwrap();
    });
    assert_eq!(server.join().unwrap(), ("question".into(), "after the server's end".into()));
}

#[test]
fn a_reset_goes_through_both_ways() {
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // Data that is not read makes the close a reset.
        while stream.peek(&mut [0; 1]).unwrap() == 0 {}
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"x").unwrap();
        stream.read(&mut [0; 1]).unwrap_err().kind()
    });
    let seen = world.inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(b"unread").unwrap();
        let seen = stream.read(&mut [0; 1]).unwrap_err().kind();
        let stream = connect(to).unwrap();
        while stream.peek(&mut [0; 1]).unwrap() == 0 {}
        drop(stream);
        seen
    });
    assert_eq!(seen, ErrorKind::ConnectionReset);
    assert_eq!(server.join().unwrap(), ErrorKind::ConnectionReset);
}

/// Sends `size` bytes that are not all alike, and returns their hash.
pub fn send(stream: &mut TcpStream, size: usize) -> Vec<u8> {
    let (mut hash, mut state, mut left) = (Sha256::new(), 1_u64, size);
    let mut block = vec![0_u8; 1 << 18];
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&state.to_be_bytes());
        }
        let part = &block[..left.min(block.len())];
        stream.write_all(part).unwrap();
        hash.update(part);
        left -= part.len();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    hash.finalize().to_vec()
}

/// Reads to the end, and returns the size and the hash.
pub fn receive(stream: &mut TcpStream) -> (usize, Vec<u8>) {
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut block = vec![0_u8; 1 << 18];
    loop {
        let n = stream.read(&mut block).unwrap();
        if n == 0 {
            return (size, hash.finalize().to_vec());
        }
        hash.update(&block[..n]);
        size += n;
    }
}

#[test]
fn two_hundred_megabytes_arrive_whole_both_ways_at_once() {
    const SIZE: usize = 200 << 20;
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    let both = |mut stream: TcpStream| {
        let mut other = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || send(&mut other, SIZE));
        (receive(&mut stream), sender.join().unwrap())
    };
    let server = std::thread::spawn(move || both(listener.accept().unwrap().0));
    let (got_inside, sent_inside) = world.inside(move || both(connect(to).unwrap()));
    let (got_outside, sent_outside) = server.join().unwrap();
    assert_eq!(got_outside, (SIZE, sent_inside));
    assert_eq!(got_inside, (SIZE, sent_outside));
}

#[test]
fn a_slow_reader_slows_its_sender_and_loses_nothing() {
    const SIZE: usize = 20 << 20;
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    // The server sends and never waits; the sandbox reads in small pieces with pauses, and the
    // other way round.
    let slowly = |stream: &mut TcpStream| {
        let (mut hash, mut block, mut size) = (Sha256::new(), [0; 40_000], 0);
        loop {
            let n = stream.read(&mut block).unwrap();
            if n == 0 {
                return (size, hash.finalize().to_vec());
            }
            hash.update(&block[..n]);
            size += n;
            if size % 7 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    };
    let server = std::thread::spawn(move || {
        let sent = send(&mut listener.accept().unwrap().0, SIZE);
        (sent, slowly(&mut listener.accept().unwrap().0))
    });
    let (got, sent) = world.inside(move || {
        let got = slowly(&mut connect(to).unwrap());
        (got, send(&mut connect(to).unwrap(), SIZE))
    });
    let (server_sent, server_got) = server.join().unwrap();
    assert_eq!(got, (SIZE, server_sent));
    assert_eq!(server_got, (SIZE, sent));
}

#[test]
fn data_that_was_sent_before_the_end_arrives_though_the_reader_was_late() {
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    // The server ends its side first and reads only after the sandbox has closed.
    let (go, wait) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        wait.recv().unwrap();
        receive(&mut stream)
    });
    let sent = world.inside(move || {
        let mut stream = connect(to).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        let sender = std::thread::spawn(move || send(&mut stream, 3 << 20));
        std::thread::sleep(std::time::Duration::from_millis(300));
        go.send(()).unwrap();
        sender.join().unwrap()
    });
    assert_eq!(server.join().unwrap(), (3 << 20, sent));
}

#[test]
fn two_hundred_connections_live_side_by_side() {
    let world = World::new(Mode::Open, &[]);
    let to = echo(&world, HOST);
    world.inside(move || {
        let mut streams: Vec<_> = (0..200).map(|_| connect(to).unwrap()).collect();
        for round in 0..5_usize {
            for (n, stream) in streams.iter_mut().enumerate() {
                stream.write_all(&[(n + round) as u8; 5000]).unwrap();
            }
            for (n, stream) in streams.iter_mut().enumerate() {
                let mut back = [0; 5000];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, [(n + round) as u8; 5000], "connection {n}");
            }
        }
    });
}

#[test]
fn more_connections_than_allowed_are_refused_and_the_others_live() {
    let world = World::with(Mode::Open, &[], |options| options.max_tcp = 3);
    let to = echo(&world, HOST);
    world.inside(move || {
        let open: Vec<_> = (0..3).map(|_| connect(to).unwrap()).collect();
        assert_eq!(connect(to).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        drop(open);
        // A place is free again as soon as a connection is over.
        while connect(to).is_err() {
            std::thread::yield_now();
        }
    });
}

#[test]
fn the_stack_ends_when_its_sandbox_is_gone() {
    let mut world = World::new(Mode::Open, &[]);
    let to = echo(&world, HOST);
    world.inside(move || says_back(to));
    assert!(world.runs());
    world.close().unwrap();
}

#[test]
fn broken_packets_do_no_harm() {
    let world = World::new(Mode::Open, &[]);
    let to = echo(&world, HOST);
    world.inside(move || {
        // SAFETY: no pointers are passed.
        let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP) };
        assert!(raw >= 0, "a raw socket");
        // SAFETY: socket just returned it, and nobody else has it.
        let raw = unsafe { std::net::UdpSocket::from_raw_fd(raw) };
        let mut state = 1_u64;
        for n in 0..20_000_usize {
            let mut segment = [0_u8; 48];
            for byte in &mut segment {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            // Some to the open port, some from a few ports only, so that states are met.
            segment[2..4].copy_from_slice(&to.port().to_be_bytes());
            segment[..2].copy_from_slice(&(7000 + (state >> 60) as u16).to_be_bytes());
            if n % 3 == 0 {
                segment[12..14].copy_from_slice(&[0x50, 1 << (state >> 61)]);
            }
            let _ = raw.send_to(&segment[..n % 49], to);
        }
        says_back(to);
    });
    assert!(world.runs());
}
