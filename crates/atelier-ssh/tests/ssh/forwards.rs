//! Ports: what `ssh -L`, `-D` and `-W` open, and what is refused.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use crate::harness::{PATIENCE, Place, feed, ok, text, until};

/// A port of the sandbox at which everything comes back in capitals once the input ended.
fn shouting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                all.make_ascii_uppercase();
                let _ = stream.write_all(&all);
            });
        }
    });
    port
}

#[test]
fn a_port_inside_is_reached_and_ends_are_passed_on() {
    let place = Place::new();
    let target = format!("localhost:{}", shouting());
    let sent = "hello".repeat(1_000_000);
    let output = feed(place.program("ssh").args(["-W", &target, "box"]), sent.as_bytes());
    assert_eq!(ok(&output), sent.to_uppercase());
}

#[test]
fn many_connections_go_through_one_forwarded_port() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let forward = format!("{free}:127.0.0.1:{}", shouting());
    let mut ssh = place.program("ssh");
    let mut child = ssh.args(["-N", "-L", &forward, "box"]).stderr(Stdio::null()).spawn().unwrap();
    until(|| TcpStream::connect(free).is_ok());
    std::thread::scope(|scope| {
        for number in 0..50 {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(free).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                write!(stream, "number {number}").unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut back = String::new();
                stream.read_to_string(&mut back).unwrap();
                assert_eq!(back, format!("NUMBER {number}"));
            });
        }
    });
    crate::harness::end(&child);
    child.wait().unwrap();
}

#[test]
fn a_port_on_which_nothing_listens_is_told() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = place.ssh(&["-v", "-W", &format!("127.0.0.1:{port}"), "box"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("port is not open"), "{output:?}");
}

#[test]
fn other_hosts_and_the_way_back_are_refused() {
    let place = Place::new();
    let output = place.ssh(&["-v", "-W", "192.0.2.1:80", "box"]);
    assert!(text(&output.stderr).contains("administratively prohibited"), "{output:?}");
    let words = ["-o", "ExitOnForwardFailure=yes", "-R", "0:localhost:1", "box", "true"];
    assert_eq!(place.ssh(&words).status.code(), Some(255));
    // Without that wish the session goes on.
    ok(&place.ssh(&["-R", "0:localhost:1", "-A", "box", "test -z \"$SSH_AUTH_SOCK\""]));
}
