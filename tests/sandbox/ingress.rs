//! Web servers in sandboxes, reached from outside by host name or by headers.

use std::io::{Read, Write};

use crate::support::{Lab, ask, connect};

const TOKEN: &str = "e2b-traffic-access-token";

#[test]
fn a_port_is_reached_by_those_who_show_the_traffic_token() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.web_server(&id, 8000, "hello from inside");
    let missing = lab.get_port(&id, 8000, &[]);
    assert_eq!(missing.status, 403, "{missing:?}");
    assert!(missing.body.contains("missing"), "{missing:?}");
    let wrong = lab.get_port(&id, 8000, &[(TOKEN, "wrong")]);
    assert_eq!(wrong.status, 403, "{wrong:?}");
    let token = lab.traffic_token(&id);
    let right = lab.get_port(&id, 8000, &[(TOKEN, &token)]);
    assert_eq!((right.status, right.body.as_str()), (200, "hello from inside"));
    let of_another = lab.traffic_token(&lab.sandbox(&[]));
    assert_eq!(lab.get_port(&id, 8000, &[(TOKEN, &of_another)]).status, 403);
}

#[test]
fn a_public_sandbox_needs_no_token() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public", "--name", "web"]);
    lab.web_server(&id, 8000, "for everybody");
    assert_eq!(lab.get_port(&id, 8000, &[]).body, "for everybody");
    assert!(lab.show(&id)["traffic_token"].is_null());
    let url = lab.ok(&["sandbox", "port", "web", "8000"]);
    let port = lab.addresses().ingress.rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(url, format!("http://8000-{id}.localhost:{port}\n"));
}

#[test]
fn a_closed_port_and_a_sandbox_that_is_gone_are_told_apart() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public"]);
    let closed = lab.get_port(&id, 8000, &[]);
    assert_eq!(closed.status, 502, "{closed:?}");
    let json = closed.json();
    assert!(json["message"].as_str().unwrap().contains("port is not open"), "{json}");
    assert_eq!((&json["port"], &json["sandboxId"]), (&8000.into(), &id.as_str().into()));
    lab.ok(&["sandbox", "rm", "--yes", &id]);
    let gone = lab.get_port(&id, 8000, &[]);
    assert_eq!(gone.status, 502, "{gone:?}");
    assert!(gone.json()["message"].as_str().unwrap().contains("was not found"), "{gone:?}");
}

#[test]
fn traffic_wakes_a_paused_sandbox_when_that_was_asked() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public", "--auto-resume"]);
    lab.web_server(&id, 8000, "awake");
    lab.ok(&["sandbox", "pause", &id]);
    assert_eq!(lab.get_port(&id, 8000, &[]).body, "awake");
    assert_eq!(lab.state(&id), "running");
    let asleep = lab.sandbox(&["--public"]);
    lab.web_server(&asleep, 8000, "awake");
    lab.ok(&["sandbox", "pause", &asleep]);
    assert_eq!(lab.get_port(&asleep, 8000, &[]).status, 502);
    assert_eq!(lab.state(&asleep), "paused");
}

#[test]
fn traffic_without_the_token_wakes_nothing() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--auto-resume"]);
    let token = lab.traffic_token(&id);
    lab.web_server(&id, 8000, "awake");
    lab.ok(&["sandbox", "pause", &id]);
    assert_eq!(lab.get_port(&id, 8000, &[]).status, 403);
    assert_eq!(lab.state(&id), "paused");
    assert_eq!(lab.get_port(&id, 8000, &[(TOKEN, &token)]).body, "awake");
}

#[test]
fn the_headers_of_the_e2b_protocol_lead_to_a_sandbox() {
    let lab = Lab::with_image();
    let listen = lab.serve_tcp();
    let id = lab.sandbox(&[]);
    lab.web_server(&id, 8000, "by header");
    let token = lab.traffic_token(&id);
    let (named, port) = (("E2b-Sandbox-Id", id.as_str()), ("E2b-Sandbox-Port", "8000"));
    for address in [&listen, &lab.addresses().ingress] {
        let found = ask(address, "GET", "/", &[named, port, (TOKEN, &token)]);
        assert_eq!(found.body, "by header", "{address}: {found:?}");
        assert_eq!(ask(address, "GET", "/", &[named, port]).status, 403, "{address}");
        // Without a port it is the guest itself.
        assert_eq!(ask(address, "GET", "/health", &[named]).status, 204, "{address}");
    }
}

#[test]
fn the_guest_wants_its_own_token() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public"]);
    let host = format!("49983-{id}.localhost");
    let ingress = lab.addresses().ingress;
    let envs = |headers: &[(&str, &str)]| {
        ask(&ingress, "GET", "/envs", &[&[("Host", host.as_str())], headers].concat())
    };
    assert_eq!(envs(&[]).status, 401);
    assert_eq!(envs(&[("X-Access-Token", "wrong")]).status, 401);
    let token = lab.show(&id)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(envs(&[("X-Access-Token", &token)]).status, 200);
}

#[test]
fn an_upgraded_connection_passes_bytes_both_ways() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public"]);
    let script = "#!/bin/sh
while read -r line; do [ \"$line\" = \"$(printf '\\r')\" ] && break; done
printf 'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'
exec cat\n";
    lab.write("echo.sh", script);
    lab.ok(&["sandbox", "cp", "echo.sh", &format!("{id}:/srv/echo.sh")]);
    lab.sh(&id, "chmod 755 /srv/echo.sh");
    lab.detach(&id, "exec nc -ll -p 9000 -e /srv/echo.sh");
    lab.wait_for_port(&id, 9000);
    let mut stream = connect(&lab.addresses().ingress);
    let request = format!(
        "GET /chat HTTP/1.1\r\nHost: 9000-{id}.localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for word in ["one", "two \0 \u{e4}"] {
        stream.write_all(word.as_bytes()).unwrap();
        let mut back = vec![0; word.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
}

#[test]
fn a_server_inside_sees_no_token_and_who_asked() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let script = "#!/bin/sh
while read -r line; do [ \"$line\" = \"$(printf '\\r')\" ] && break; echo \"$line\" >> /srv/seen; done
printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok'\n";
    lab.write("seen.sh", script);
    lab.ok(&["sandbox", "cp", "seen.sh", &format!("{id}:/srv/seen.sh")]);
    lab.sh(&id, "chmod 755 /srv/seen.sh");
    lab.detach(&id, "exec nc -ll -p 9000 -e /srv/seen.sh");
    lab.wait_for_port(&id, 9000);
    let token = lab.traffic_token(&id);
    assert_eq!(
        lab.get_port(&id, 9000, &[(TOKEN, &token), ("X-Forwarded-For", "6.6.6.6")]).body,
        "ok"
    );
    let seen = lab.sh(&id, "cat /srv/seen").to_lowercase();
    assert!(!seen.contains(&token), "{seen}");
    assert!(seen.contains(&format!("host: 9000-{id}.localhost")), "{seen}");
    assert!(seen.contains("x-forwarded-for:") && seen.contains("127.0.0.1"), "{seen}");
}
