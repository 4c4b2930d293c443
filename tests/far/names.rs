//! Services on a far host have names, addresses and ports on this machine.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::process::Command;
use std::time::Instant;

use super::Pair;
use crate::support::{FarHost, Lab, PATIENCE};

const COMPOSE: &str = "\
services:
  api:
    image: atelier-test:1
    command: sh -c 'mkdir /www; echo far away >/www/index.html; exec httpd -f -p 8080 -h /www'
    expose: [8080]
    labels: {atelier.ingress: 'true'}
  db:
    image: atelier-test:1
    command: nc -ll -p 5432 -e echo stored
    expose: [5432]
";

fn curl(args: &[&str]) -> String {
    let done = Command::new("curl").args(["-sS", "--max-time", "30"]).args(args).output().unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

/// Runs until it holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn what_is_up_there_is_reached_from_here() {
    let lab = Lab::new();
    lab.write("compose.yaml", COMPOSE);
    let mut pair = Pair { lab, far: FarHost::new() };
    pair.far.start_engine();
    pair.far.trust();
    pair.far.add_to(&pair.lab);
    pair.ok(&["env", "create", "e1"]);
    pair.ok(&["env", "up", "e1"]);
    // By host name, through the ingress of this machine and that one.
    let url = pair.ok(&["env", "url", "e1"]);
    assert!(url.starts_with("http://api.e1.shop.localhost:"), "{url}");
    let port = url.trim().rsplit_once(':').unwrap().1;
    let to = format!("api.e1.shop.localhost:{port}:127.0.0.1");
    assert_eq!(curl(&["--resolve", &to, url.trim()]), "far away\n");
    // By its own address, on HTTP's own port; the name server here knows it by name.
    let linked = pair.ok(&["env", "url", "e1", "db", "5432"]);
    let (address, port) = linked.trim().rsplit_once(':').unwrap();
    assert_eq!(port, "5432", "a port keeps its number");
    assert_eq!(raw(address), "stored\n");
    let status = pair.lab.json(&["status"]);
    let dns = status["dns"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let ask = |name: &str| {
        let args = ["+short", "+time=5", "@127.0.0.1", "-p", &dns, name];
        let done = Command::new("dig").args(args).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(ask("db.e1.test"), address);
    let api = ask("api.e1.test");
    assert_ne!(api, address);
    let to = format!("api.e1.test:80:{api}");
    assert_eq!(curl(&["--resolve", &to, "http://api.e1.test/"]), "far away\n");
    // The line is cut until ssh gives up, and mended: the same address leads there again.
    pair.far.cable(false);
    until("ssh does not give up", || shared_connections(&pair.lab) == 0);
    pair.far.cable(true);
    until("the port does not answer again", || raw(address) == "stored\n");
    // What is down there is gone here.
    pair.ok(&["env", "down", "e1"]);
    until("the name stays", || ask("db.e1.test").is_empty());
    assert_eq!(shared_connections(&pair.lab), 1);
    let gone = pair.lab.run(&["--on", "far", "env", "url", "e1", "db", "5432"]);
    assert_eq!(gone.code, 3, "{}", gone.stderr);
}

/// The sockets of connections that are kept: ssh removes its own when it ends.
fn shared_connections(lab: &Lab) -> usize {
    let entries = fs::read_dir(lab.home().join("far")).unwrap().map(Result::unwrap);
    let kept = entries.filter(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_socket())
            && entry.path().extension().is_none_or(|e| e != "sock")
    });
    kept.count()
}

/// What the port of the database says.
fn raw(address: &str) -> String {
    let done = Command::new("busybox").args(["nc", "-w", "10", address, "5432"]).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}
