//! Connections to listed hosts are handed to the control plane, and no others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use atelier_net::handover::{self, Ends, Handover};
use atelier_net::{Intercept, Mode, Policy, control};

use crate::dns::resolve;
use crate::streams::echo;
use crate::world::{HOST, World, connect};

/// A world whose stack hands connections to `*.test` to a listener.
fn world() -> (World, UnixListener, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let orders = UnixListener::bind(folder.path().join(control::SOCKET)).unwrap();
    let world = World::with(Mode::Open, &[], |options| options.control = Some(orders));
    let listener = UnixListener::bind(folder.path().join("egress")).unwrap();
    tell(folder.path(), &["*.test"]);
    (world, listener, folder)
}

fn tell(folder: &Path, hosts: &[&str]) {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let intercept = Intercept { socket: folder.join("egress"), token: "mine".into(), hosts };
    let policy = Policy { mode: Mode::Open, intercept: Some(intercept), ..Policy::none() };
    control::set_policy(&folder.join(control::SOCKET), &policy).unwrap();
}

/// What is handed over next.
fn taken(listener: &UnixListener) -> (Handover, Ends) {
    let (stream, _) = listener.accept().unwrap();
    handover::receive(&stream).unwrap().unwrap()
}

fn request(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn answer(stream: &mut TcpStream, size: usize) -> Vec<u8> {
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn a_listed_hosts_connection_is_given_away_with_both_ends() {
    let (world, listener, _folder) = world();
    let to = echo(&world, HOST);
    let inside = world.spawn_inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(&request("API.test:80")).unwrap();
        answer(&mut stream, 2)
    });
    let (said, ends) = taken(&listener);
    assert_eq!((said.token.as_str(), said.host.as_str()), ("mine", "api.test"));
    assert_eq!((said.port, said.secure, said.named), (to.port(), false, false));
    let (mut sandbox, mut server) = (UnixStream::from(ends.sandbox), TcpStream::from(ends.server));
    assert_eq!(server.peer_addr().unwrap(), to);
    let mut heard = vec![0; request("API.test:80").len()];
    sandbox.read_exact(&mut heard).unwrap();
    assert_eq!(heard, request("API.test:80"), "nothing of it went to the server");
    server.set_nonblocking(false).unwrap();
    server.write_all(b"ok").unwrap();
    let mut echoed = [0; 2];
    server.read_exact(&mut echoed).unwrap();
    sandbox.write_all(&echoed).unwrap();
    assert_eq!(inside.join().unwrap(), b"ok");
}

#[test]
fn other_hosts_and_other_protocols_are_carried_as_ever() {
    let (world, listener, _folder) = world();
    let to = echo(&world, HOST);
    for words in [request("api.example"), b"\x00\x01 no http".to_vec(), b"SSH-2.0-x\r\n".to_vec()] {
        let sent = words.clone();
        let back = world.inside(move || {
            let mut stream = connect(to).unwrap();
            stream.write_all(&sent).unwrap();
            answer(&mut stream, sent.len())
        });
        assert_eq!(back, words);
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nothing was handed over");
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let (world, _listener, _folder) = world();
    let server = world.listen(HOST);
    let to = server.local_addr().unwrap();
    let greeting = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all(b"220 hello").unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).unwrap();
        word
    });
    world.inside(move || {
        let mut stream = connect(to).unwrap();
        assert_eq!(answer(&mut stream, 9), b"220 hello");
        stream.write_all(b"EHLO").unwrap();
    });
    assert_eq!(&greeting.join().unwrap(), b"EHLO");
}

#[test]
fn an_address_is_a_names_when_the_nameserver_says_so() {
    let (world, listener, _folder) = world();
    let _asked = world.nameserver(&[("known.test", "203.0.113.1"), ("late.test", "203.0.113.1")]);
    let to = echo(&world, HOST);
    world.inside(|| drop(resolve("known.test")));
    // The second was never asked for: it is looked up when it is needed. The third has no address.
    for (host, named) in [("known.test", true), ("late.test", true), ("forged.test", false)] {
        world.inside(move || {
            let mut stream = connect(to).unwrap();
            stream.write_all(&request(host)).unwrap();
        });
        let (said, _) = taken(&listener);
        assert_eq!((said.host.as_str(), said.named), (host, named));
    }
}

#[test]
fn a_new_policy_counts_for_new_connections_and_a_missing_control_plane_is_waited_for() {
    let (world, listener, folder) = world();
    let to = echo(&world, HOST);
    tell(folder.path(), &["other.example"]);
    let words = request("api.test");
    let back = world.inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(&request("api.test")).unwrap();
        answer(&mut stream, request("api.test").len())
    });
    assert_eq!(back, words);
    drop(listener);
    std::fs::remove_file(folder.path().join("egress")).unwrap();
    let asking = world.spawn_inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(&request("other.example")).unwrap();
        // What was not read when the other side went makes it a reset.
        matches!(stream.read(&mut [0]), Ok(0) | Err(_))
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    let listener = UnixListener::bind(folder.path().join("egress")).unwrap();
    assert_eq!(taken(&listener).0.host, "other.example");
    assert!(asking.join().unwrap(), "who drops the ends ends the connection");
}
