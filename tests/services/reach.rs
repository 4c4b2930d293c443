//! Services of an engine whose containers' addresses are out of this machine's reach.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;

use super::SHOP;
use crate::support::{Lab, connect, containers, tell_engine, wait_until};

/// Listens on one port more than the file tells.
fn shop() -> String {
    SHOP.replace("exec nc -ll -p 5432", "nc -ll -p 7777 -e cat /data/who & exec nc -ll -p 5432")
}

fn lab() -> Lab {
    let mut lab = Lab::with_services("shop", &shop());
    lab.set("ATELIER_REACH", "loopback");
    lab
}

/// What a service says to whoever connects to where it is said to be reached.
fn said_at(lab: &Lab, service: &str, port: &str) -> (SocketAddr, String) {
    let at: SocketAddr = lab.ok(&["env", "url", "a1", service, port]).trim().parse().unwrap();
    assert!(at.ip().is_loopback(), "{at}");
    let mut said = String::new();
    connect(&at.to_string()).read_to_string(&mut said).unwrap();
    (at, said)
}

fn page(url: &str) -> String {
    let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
    let resolve = format!("{host}:{port}:127.0.0.1");
    let words = ["-sS", "--max-time", "20", "--resolve", &resolve, url];
    let output = Command::new("curl").args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn inside(lab: &Lab, script: &str) -> String {
    lab.ok(&["run", "a1", "--", "sh", "-c", script])
}

#[test]
fn everything_leads_to_published_ports_and_inside_nothing_is_different() {
    let lab = lab();
    let script = "busybox wget -q -O - http://api:3000/; busybox wget -q -O - http://api.a1.test/; \
        busybox wget -q -O - http://shop.a1.test/; busybox nc db 5432 </dev/null";
    let said = inside(&lab, script);
    assert!(said.starts_with("hello\nhello\nhello\n") && said.lines().count() == 4, "{said}");
    let (_, who) = said_at(&lab, "db", "5432");
    assert_eq!(Some(who.trim()), said.lines().last());
    let api = lab.json(&["env", "url", "a1", "api"]);
    assert_eq!(page(api["url"].as_str().unwrap()), "hello\n", "by the ingress");
    let direct = api["others"][0].as_str().unwrap();
    assert!(direct.starts_with("http://127.0.0.1:"), "{api}");
    assert_eq!(page(direct), "hello\n");
    // Proof that nothing goes by address: what is not published is not there.
    let other = "busybox nc -w 3 db 7777 </dev/null && echo there; true";
    assert_eq!(inside(&lab, other), "");
    lab.run(&["env", "url", "a1", "db", "7777"]).fails(3, &["7777", "expose"]);
}

#[test]
fn a_service_that_starts_again_elsewhere_is_followed() {
    let lab = lab();
    inside(&lab, "true");
    let (_, who) = said_at(&lab, "db", "5432");
    lab.ok(&["env", "restart", "a1", "db"]);
    assert_eq!(said_at(&lab, "db", "5432").1, who);
    assert_eq!(inside(&lab, "busybox nc db 5432 </dev/null"), who);
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    let label = format!("dev.atelier.environment={id}");
    let of = |c: &&serde_json::Value| c["Labels"]["com.docker.compose.service"] == "db";
    let all = containers(&label);
    let container = all.iter().find(of).unwrap()["Id"].as_str().unwrap().to_owned();
    tell_engine("POST", &format!("/containers/{container}/stop?t=0"));
    wait_until("its port is known to be gone", || {
        lab.run(&["env", "url", "a1", "db", "5432"]).code == 3
    });
    tell_engine("POST", &format!("/containers/{container}/start"));
    wait_until("it is found again", || lab.run(&["env", "url", "a1", "db", "5432"]).code == 0);
    assert_eq!(said_at(&lab, "db", "5432").1, who);
    assert_eq!(inside(&lab, "busybox nc db 5432 </dev/null"), who);
}

#[test]
fn a_shared_service_is_reached_by_all_of_its_users() {
    let lab = lab();
    let shared = shop()
        .replace("expose: [\"5432\"]", "expose: [\"5432\"]\n    labels: {atelier.share: \"true\"}");
    lab.write("compose.yaml", shared);
    let who = inside(&lab, "busybox nc db 5432 </dev/null");
    let other = lab.ok(&["run", "a2", "--", "sh", "-c", "busybox nc db 5432 </dev/null"]);
    assert_eq!((who.lines().count(), &other), (1, &who));
    assert_eq!(said_at(&lab, "db", "5432").1, who);
}

#[test]
fn the_doctor_says_how_services_are_reached() {
    let lab = lab();
    let doctor = lab.run(&["doctor"]).stdout;
    assert!(doctor.contains("services are reached at ports of 127.0.0.1"), "{doctor}");
    inside(&lab, "true");
    let doctor = lab.run(&["doctor"]).stdout;
    assert!(doctor.contains("as they should be"), "{doctor}");
}
