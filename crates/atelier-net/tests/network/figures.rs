//! Figures of the stack: how fast, and how much memory. Run them with
//! `cargo test --release -p atelier-net --test network -- --ignored --nocapture figures`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use atelier_net::{Addresses, Mode};

use crate::world::{HOST, Wiring, World, connect};

const SIZE: usize = 1 << 30;

fn pour(stream: &mut impl Write) {
    let block = vec![7_u8; 1 << 17];
    for _ in 0..SIZE / block.len() {
        stream.write_all(&block).unwrap();
    }
}

fn drink(stream: &mut impl Read) -> usize {
    let (mut block, mut size) = (vec![0; 1 << 17], 0);
    loop {
        match stream.read(&mut block).unwrap() {
            0 => return size,
            n => size += n,
        }
    }
}

fn rate(size: usize, since: Instant) -> f64 {
    size as f64 / 1e6 / since.elapsed().as_secs_f64()
}

#[test]
#[ignore = "prints figures; takes a while"]
fn throughput_and_latency() {
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        drink(&mut listener.accept().unwrap().0);
        pour(&mut listener.accept().unwrap().0);
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
        for _ in 0..1000 {
            drop(listener.accept().unwrap());
        }
    });
    world.inside(move || {
        let start = Instant::now();
        let mut stream = connect(to).unwrap();
        pour(&mut stream);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        println!("out of the sandbox  {:8.0} MB/s", rate(SIZE, start));
        let start = Instant::now();
        assert_eq!(drink(&mut connect(to).unwrap()), SIZE);
        println!("into the sandbox    {:8.0} MB/s", rate(SIZE, start));
        let mut stream = connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        let start = Instant::now();
        for _ in 0..10_000 {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        println!("round trip          {:8.1} us", start.elapsed().as_secs_f64() * 100.0);
        drop(stream);
        let start = Instant::now();
        for _ in 0..1000 {
            let _ = connect(to).unwrap().read(&mut [0]);
        }
        println!("connect and close   {:8.1} us", start.elapsed().as_secs_f64() * 1000.0);
    });
    server.join().unwrap();
}

#[test]
#[ignore = "prints figures; takes a while"]
fn two_hundred_connections_at_once() {
    const EACH: usize = 5 << 20;
    let world = World::new(Mode::Open, &[]);
    let listener = world.listen(HOST);
    let to = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    let start = Instant::now();
    world.inside(move || {
        let client = move || {
            let mut stream = connect(to).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let reader = std::thread::spawn(move || drink(&mut reader));
            stream.write_all(&vec![1; EACH]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(reader.join().unwrap(), EACH);
        };
        let clients: Vec<_> = (0..200).map(|_| std::thread::spawn(client)).collect();
        clients.into_iter().for_each(|c| c.join().unwrap());
    });
    println!("200 echoing clients {:8.0} MB/s each way", rate(200 * EACH, start));
}

#[test]
#[ignore = "prints figures; takes a while"]
fn each_link() {
    let links = [
        Wiring::Tun,
        Wiring::Tap(1500),
        Wiring::Tap(Addresses::MTU_TAP),
        Wiring::Wire(1500),
        Wiring::Pair(1500),
        Wiring::Pair(Addresses::MTU_TAP),
    ];
    for wiring in links {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.sock");
        let way_in = UnixListener::bind(&path).unwrap();
        let world = World::wired(wiring, Mode::Open, &[], |o| o.dial.push((way_in, 80)));
        let listener = world.listen(HOST);
        let to = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            drink(&mut listener.accept().unwrap().0);
            pour(&mut listener.accept().unwrap().0);
        });
        let (sent, received) = world.inside(move || {
            let start = Instant::now();
            let mut stream = connect(to).unwrap();
            pour(&mut stream);
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            let sent = rate(SIZE, start);
            let start = Instant::now();
            assert_eq!(drink(&mut connect(to).unwrap()), SIZE);
            (sent, rate(SIZE, start))
        });
        server.join().unwrap();
        let inside = world.inside(|| TcpListener::bind(("0.0.0.0", 80)).unwrap());
        let server = std::thread::spawn(move || {
            drink(&mut inside.accept().unwrap().0);
            pour(&mut inside.accept().unwrap().0);
            let (mut stream, _) = inside.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                stream.write_all(&byte).unwrap();
            }
        });
        let start = Instant::now();
        let mut stream = UnixStream::connect(&path).unwrap();
        pour(&mut stream);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let dialed_in = rate(SIZE, start);
        let start = Instant::now();
        assert_eq!(drink(&mut UnixStream::connect(&path).unwrap()), SIZE);
        let dialed_out = rate(SIZE, start);
        let mut stream = UnixStream::connect(&path).unwrap();
        let start = Instant::now();
        for _ in 0..10_000 {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        let trip = start.elapsed().as_secs_f64() * 100.0;
        drop(stream);
        server.join().unwrap();
        println!(
            "{wiring:?}: out {sent:.0}, in {received:.0}; dialed: in {dialed_in:.0}, out \
             {dialed_out:.0} MB/s, round trip {trip:.1} us"
        );
    }
}
