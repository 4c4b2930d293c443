//! The way in: a Unix socket of the host leads to a port of the sandbox.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use atelier_net::{Addresses, Link, Mode};
use sha2::{Digest, Sha256};

use crate::world::{LIMIT, Wiring, World, forward, machine};

const PORT: u16 = 49_983;
const ALL: [Wiring; 4] =
    [Wiring::Tun, Wiring::Tap(1500), Wiring::Wire(1500), Wiring::Pair(Addresses::MTU_TAP)];

/// A world without any network, but with a way in.
fn world(wiring: Wiring) -> (World, PathBuf, tempfile::TempDir) {
    let (listener, path, folder) = way_in();
    let world = World::wired(wiring, Mode::None, &[], |o| o.dial.push((listener, PORT)));
    (world, path, folder)
}

fn way_in() -> (UnixListener, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.sock");
    (UnixListener::bind(&path).unwrap(), path, folder)
}

fn connect(path: &PathBuf) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

fn listen(world: &World) -> TcpListener {
    world.inside(|| TcpListener::bind((Addresses::SANDBOX_V4, PORT)).unwrap())
}

/// Whether the connection was closed without a word.
fn is_closed(mut stream: UnixStream) -> bool {
    stream
        .read(&mut [0])
        .map_or_else(|e| e.kind() == std::io::ErrorKind::ConnectionReset, |n| n == 0)
}

#[test]
fn a_connection_comes_from_the_gateway_whatever_the_policy_says() {
    for wiring in ALL {
        let (world, path, _folder) = world(wiring);
        let listener = listen(&world);
        let server = std::thread::spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).unwrap();
            stream.write_all(b"after your end").unwrap();
            (heard, from.ip())
        });
        let mut stream = connect(&path);
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "after your end", "over {wiring:?}");
        assert_eq!(server.join().unwrap(), ("hello".into(), Addresses::GATEWAY_V4.into()));
    }
}

#[test]
fn a_port_where_nobody_listens_closes_the_connection() {
    for wiring in ALL {
        let (world, path, _folder) = world(wiring);
        assert!(is_closed(connect(&path)), "over {wiring:?}");
        let listener = listen(&world);
        let stream = connect(&path);
        drop(listener.accept().unwrap());
        assert!(is_closed(stream), "closed by the sandbox");
    }
}

#[test]
fn a_guest_that_is_not_there_does_not_hold_the_connection() {
    let (listener, path, _folder) = way_in();
    let (device, _monitor) = atelier_net::wire_pair().unwrap();
    let (sandbox, _card) = machine(1500);
    let link = Link::Ethernet { device, mtu: 1500 };
    let world = World::joined(sandbox, link, Mode::None, &[], |o| o.dial.push((listener, PORT)));
    let streams: Vec<_> = (0..50).map(|_| connect(&path)).collect();
    assert!(streams.into_iter().all(is_closed));
    assert!(world.runs());
}

#[test]
fn a_guest_that_comes_up_is_reached_by_who_waits_for_it() {
    let (listener, path, _folder) = way_in();
    let (device, monitor) = atelier_net::wire_pair().unwrap();
    let (sandbox, card) = machine(1500);
    let link = Link::Ethernet { device, mtu: 1500 };
    let world = World::joined(sandbox, link, Mode::None, &[], |o| o.dial.push((listener, PORT)));
    let listener = listen(&world);
    let mut stream = connect(&path);
    std::thread::sleep(std::time::Duration::from_millis(100));
    forward(&card, &monitor);
    listener.accept().unwrap().0.write_all(b"up").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "up");
}

#[test]
fn large_data_arrives_whole_though_the_reader_is_slow() {
    const SIZE: usize = 20 << 20;
    let pour = |to: &mut dyn Write| {
        let mut hash = Sha256::new();
        for n in 0..SIZE / 8192 {
            let block = [(n % 251) as u8; 8192];
            to.write_all(&block).unwrap();
            hash.update(block);
        }
        hash.finalize().to_vec()
    };
    let sip = |from: &mut dyn Read| {
        let (mut hash, mut block, mut count) = (Sha256::new(), vec![0; 50_000], 0);
        loop {
            let n = from.read(&mut block).unwrap();
            if n == 0 {
                return hash.finalize().to_vec();
            }
            hash.update(&block[..n]);
            count += 1;
            if count % 50 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    };
    for wiring in ALL {
        let (world, path, _folder) = world(wiring);
        let listener = listen(&world);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let got = sip(&mut stream);
            (got, pour(&mut stream))
        });
        let mut stream = connect(&path);
        let sent = pour(&mut stream);
        stream.shutdown(Shutdown::Write).unwrap();
        let got = sip(&mut stream);
        assert_eq!(server.join().unwrap(), (sent, got), "over {wiring:?}");
    }
}

#[test]
fn many_connections_are_carried_at_once() {
    let (world, path, _folder) = world(Wiring::Pair(1500));
    let listener = listen(&world);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    let mut streams: Vec<_> = (0..100).map(|_| connect(&path)).collect();
    for (n, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&[n as u8; 3000]).unwrap();
    }
    for (n, stream) in streams.iter_mut().enumerate() {
        let mut back = [0; 3000];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, [n as u8; 3000]);
    }
}
