//! A running stack: its policy replaced, its numbers read, and what it lives for.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use atelier_net::control::{self, Counters};
use atelier_net::{Mode, Options, Policy};

use crate::datagrams::client;
use crate::streams::echo;
use crate::world::{HOST, Wiring, World, connect};

/// A world with a control socket in its folder.
fn world(mode: Mode, rules: &[&str]) -> (World, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(control::SOCKET);
    let listener = UnixListener::bind(&path).unwrap();
    let world = World::with(mode, rules, |options| options.control = Some(listener));
    (world, path, folder)
}

fn open(deny: &[&str], allow: &[&str]) -> Policy {
    let read = |rules: &[&str]| rules.iter().map(|r| r.parse().unwrap()).collect();
    Policy { mode: Mode::Open, allow: read(allow), deny: read(deny), ..Policy::none() }
}

#[test]
fn a_new_policy_ends_the_connections_that_it_does_not_allow() {
    let (world, socket, _folder) = world(Mode::Open, &[]);
    let to = echo(&world, HOST);
    let (stays, ends) = world.inside(move || {
        let mut streams = [connect(to).unwrap(), connect((HOST, to.port())).unwrap()];
        for stream in &mut streams {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        let [a, b] = streams;
        (a, b)
    });
    let unaffected = open(&["192.0.2.0/24"], &[]);
    control::set_policy(&socket, &unaffected).unwrap();
    let mut stays = stays;
    stays.write_all(b"y").unwrap();
    stays.read_exact(&mut [0]).unwrap();
    control::set_policy(&socket, &open(&["203.0.113.0/24"], &[])).unwrap();
    for mut stream in [stays, ends] {
        let ended = stream.read(&mut [0]).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    }
    world.inside(move || {
        assert_eq!(connect(to).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
    control::set_policy(&socket, &open(&["0.0.0.0/0"], &["203.0.113.1"])).unwrap();
    world.inside(move || connect(to).map(drop).unwrap());
}

#[test]
fn a_cut_ends_every_connection_and_new_ones_follow() {
    let (world, socket, _folder) = world(Mode::Open, &[]);
    let to = echo(&world, HOST);
    let mut stream = world.inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream
    });
    control::cut(&socket).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    world.inside(move || connect(to).map(drop).unwrap());
}

#[test]
fn a_new_policy_ends_flows_of_datagrams() {
    let (world, socket, _folder) = world(Mode::Open, &[]);
    let to = crate::datagrams::echo(&world);
    let flow = world.inside(move || {
        let flow = client(to);
        flow.send(b"x").unwrap();
        flow.recv(&mut [0; 8]).unwrap();
        flow
    });
    control::set_policy(&socket, &Policy::none()).unwrap();
    flow.send(b"x").unwrap();
    assert_eq!(flow.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::HostUnreachable);
}

#[test]
fn the_numbers_are_those_of_what_has_passed() {
    let (world, socket, _folder) = world(Mode::Allowlist, &["203.0.113.1"]);
    assert_eq!(control::counters(&socket).unwrap(), Counters::default());
    let to = echo(&world, HOST);
    world.inside(move || {
        let mut stream = connect(to).unwrap();
        stream.write_all(&[1; 10_000]).unwrap();
        stream.read_exact(&mut [0; 10_000]).unwrap();
        assert!(connect(([192, 0, 2, 1], to.port())).is_err());
        assert!(connect(([192, 0, 2, 2], to.port())).is_err());
    });
    let seen = control::counters(&socket).unwrap();
    assert_eq!((seen.connections, seen.denied), (1, 2));
    assert!((10_000..20_000).contains(&seen.sent), "{seen:?}");
    assert!((10_000..20_000).contains(&seen.received), "{seen:?}");
}

#[test]
fn what_is_no_request_is_answered_with_why_and_does_no_harm() {
    let (world, socket, _folder) = world(Mode::Open, &[]);
    let ask = |text: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(text).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask(b"{\"policy\":{\"deny\":[\"a:0\"]}}\n").contains("\"error\":\"the network rule"));
    assert!(ask(b"\xff\xfe\n").starts_with("{\"error\""));
    assert_eq!(ask(b"{\"counters\":{}}"), "", "a line that does not end");
    assert_eq!(ask(b"{\"policy\":{\"mode\":\"none\"}}\n"), "{\"ok\":true}\n");
    assert!(world.runs());
}

#[test]
fn a_socket_with_a_long_path_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let bound = folder.path().join("short");
    let listener = UnixListener::bind(&bound).unwrap();
    std::fs::rename(bound, long.join(control::SOCKET)).unwrap();
    let _world = World::with(Mode::Open, &[], |options| options.control = Some(listener));
    control::counters(&long.join(control::SOCKET)).unwrap();
    assert!(control::counters(Path::new("/nonexistent/net.sock")).is_err());
}

fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: no pointers are passed, and the kernel returns a new descriptor.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as i32)
    }
}

/// Hands a descriptor over with one byte.
fn hand_over(line: &UnixStream, fd: &OwnedFd) {
    let mut byte = *b"p";
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut space = [0_u64; 4];
    // SAFETY: the message's pointers are to live values, and the control part has room for one.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        message.msg_control = space.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let control = libc::CMSG_FIRSTHDR(&raw const message);
        (*control).cmsg_level = libc::SOL_SOCKET;
        (*control).cmsg_type = libc::SCM_RIGHTS;
        (*control).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(control).cast::<i32>().write_unaligned(fd.as_raw_fd());
        assert_eq!(libc::sendmsg(line.as_raw_fd(), &raw const message, 0), 1);
    }
}

#[test]
fn the_stack_ends_with_the_process_that_it_was_given() {
    let (line, theirs) = UnixStream::pair().unwrap();
    for handed_over in [false, true] {
        let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let life = pidfd(process.id());
        let (_sandbox, link) = Wiring::Pair(1500).make();
        let line = line.try_clone().unwrap();
        let theirs: OwnedFd = theirs.try_clone().unwrap().into();
        let life = if handed_over {
            hand_over(&line, &life);
            theirs
        } else {
            life
        };
        let stack = std::thread::spawn(move || {
            atelier_net::run(link, life, Policy::none(), Options::default())
        });
        assert!(!stack.is_finished());
        drop(process.stdin.take());
        stack.join().unwrap().unwrap();
        process.wait().unwrap();
    }
}

#[test]
fn the_stack_ends_with_its_line_when_no_process_came() {
    let (line, theirs) = UnixStream::pair().unwrap();
    let (_sandbox, link) = Wiring::Tun.make();
    let stack = std::thread::spawn(move || {
        atelier_net::run(link, theirs.into(), Policy::none(), Options::default())
    });
    drop(line);
    stack.join().unwrap().unwrap();
}
