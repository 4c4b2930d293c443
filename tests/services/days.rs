//! Worse days: the engine restarted, the machine too, a port that somebody has, a disk that is full.

use std::fs;
use std::net::TcpListener;
use std::os::fd::FromRawFd;
use std::path::Path;
use std::process::Command;

use super::SHOP;
use crate::support::{Lab, OwnEngine, containers_at, wait_until};

const ASK: [&str; 6] = ["run", "a1", "--", "busybox", "nc", "db"];

/// Who the database says that it is.
fn who(lab: &Lab) -> String {
    lab.ok(&[&ASK[..], &["5432"]].concat())
}

/// What the URL that `env url` gives answers.
fn at_its_url(lab: &Lab) -> String {
    let url = lab.ok(&["env", "url", "a1", "api"]);
    let (host, port) = url.trim().trim_start_matches("http://").split_once(':').unwrap();
    let (host, resolve) = (host.to_owned(), format!("{host}:{port}:127.0.0.1"));
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20"]);
    if host.parse::<std::net::IpAddr>().is_err() {
        curl.args(["--resolve", &resolve]);
    }
    String::from_utf8(curl.arg(url.trim()).output().unwrap().stdout).unwrap()
}

#[test]
fn an_engine_that_was_restarted_has_its_services_back_for_the_next_command() {
    let mut engine = OwnEngine::start();
    let lab = Lab::with_services_at(&engine.address(), "shop", SHOP);
    let before = who(&lab);
    engine.stop();
    lab.run(&["env", "up", "a1"]).fails(6, &["engine"]);
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 1);
    engine.go_on();
    assert_eq!(who(&lab), before);
    assert_eq!(at_its_url(&lab), "hello\n");
    lab.ok(&["env", "rm", "--yes", "a1"]);
}

#[test]
fn after_a_reboot_the_next_command_finds_services_data_and_files() {
    let mut engine = OwnEngine::start();
    let lab = Lab::with_services_at(&engine.address(), "shop", SHOP);
    let before = who(&lab);
    lab.ok(&["run", "a1", "--", "sh", "-c", "echo changed > site/index.html"]);
    // What a reboot takes away: every process, every mount, every device.
    lab.kill_everything();
    engine.stop();
    for bridge in bridges(&lab) {
        assert!(Command::new("ip").args(["link", "del", &bridge]).status().unwrap().success());
    }
    let trees = fs::read_dir(lab.home().join("sandboxes")).unwrap();
    for tree in trees.map(|entry| entry.unwrap().path().join("tree")).filter(|tree| tree.exists()) {
        assert!(Command::new("umount").arg("-l").arg(&tree).status().unwrap().success());
    }
    engine.go_on();
    assert_eq!(who(&lab), before);
    assert_eq!(at_its_url(&lab), "changed\n");
    assert_eq!(lab.ok(&["run", "a1", "--", "cat", "site/index.html"]), "changed\n");
    lab.ok(&["env", "rm", "--yes", "a1"]);
}

/// The devices of the lab's networks: those with an address of its range.
fn bridges(lab: &Lab) -> Vec<String> {
    let range = lab.variable("ATELIER_SUBNETS").unwrap();
    let found = Command::new("ip").args(["-o", "-4", "addr", "show", "to", &range]).output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    found.lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
fn where_port_80_is_taken_services_have_their_own_addresses_and_the_user_is_told() {
    let mut lab = Lab::with_services("shop", SHOP);
    let range = lab.variable("ATELIER_SUBNETS").unwrap();
    let net = range.rsplit_once('.').unwrap().0;
    lab.set("ATELIER_SUBNETS", &format!("{net}.0/24"));
    let _taken = listen_in_advance(&format!("{net}.1"), 80);
    let script =
        "busybox wget -q -O - http://api:3000/; busybox wget -q -O - http://api.a1.test:3000/";
    assert_eq!(lab.ok(&["run", "a1", "--", "sh", "-c", script]), "hello\nhello\n");
    assert_eq!(at_its_url(&lab), "hello\n");
    let status = lab.json(&["env", "status", "a1"]);
    let notes = status["notes"].to_string();
    assert!(notes.contains(":80") && notes.contains("in use"), "{status}");
}

/// Listens at an address that nobody has yet.
fn listen_in_advance(address: &str, port: u16) -> TcpListener {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    // SAFETY: plain system calls; the address lives as long as the call, and the descriptor has one owner.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let one: libc::c_int = 1;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        let done = libc::setsockopt(
            fd,
            libc::IPPROTO_IP,
            libc::IP_FREEBIND,
            (&raw const one).cast(),
            size,
        );
        assert_eq!(done, 0);
        let mut at: libc::sockaddr_in = std::mem::zeroed();
        at.sin_family = libc::AF_INET as libc::sa_family_t;
        at.sin_port = port.to_be();
        at.sin_addr.s_addr = u32::from(address).to_be();
        let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        assert_eq!(libc::bind(fd, (&raw const at).cast(), size), 0);
        assert_eq!(libc::listen(fd, 8), 0);
        TcpListener::from_raw_fd(fd)
    }
}

#[test]
fn an_engine_whose_disk_is_full_is_said_and_leaves_nothing_half_made() {
    let engine = OwnEngine::limited(Some(64));
    let lab = Lab::with_services_at(&engine.address(), "shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    let filler = engine.data().join("filler");
    fill(&filler);
    lab.run(&["env", "up", "a1"]).fails(6, &["no space left on device"]);
    let label = format!(
        "dev.atelier.environment={}",
        lab.json(&["env", "show", "a1"])["id"].as_str().unwrap()
    );
    assert!(containers_at(&engine.address(), &label).is_empty());
    fs::remove_file(filler).unwrap();
    wait_until("there is room", || lab.run(&["env", "up", "a1"]).code == 0);
    assert!(!who(&lab).is_empty());
}

/// Writes until there is no more room.
fn fill(file: &Path) {
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", file.display()));
    assert!(!dd.output().unwrap().status.success());
}
