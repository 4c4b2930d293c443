//! Out through the ingress: it leads to ports of sandboxes, for those who may, and nowhere else.

use std::io::{Read, Write};

use crate::support::{Lab, ask, connect, greeter, raw, send};

const TOKEN: &str = "e2b-traffic-access-token";

#[test]
fn the_api_behind_its_own_name_wants_a_token_too() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let ingress = lab.addresses().ingress;
    for path in [
        "/sandboxes",
        "/v2/sandboxes",
        "/api/v1/sandboxes",
        "/api/v1/status",
        &format!("/api/v1/sandboxes/{id}/guest/envs"),
    ] {
        let answer = ask(&ingress, "GET", path, &[("Host", "api.localhost")]);
        assert!(answer.status == 401 || answer.status == 403, "{path}: {answer:?}");
    }
    let token = lab.ok(&["token", "create", "t"]).trim().to_owned();
    let headers = [("Host", "api.localhost"), ("X-API-Key", token.as_str())];
    assert_eq!(ask(&ingress, "GET", "/sandboxes", &headers).status, 200);
}

#[test]
fn names_that_are_nobodys_lead_nowhere() {
    let lab = Lab::with_image();
    let port = greeter();
    let ingress = lab.addresses().ingress;
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "169.254.169.254".to_owned(),
        "metadata.google.internal".to_owned(),
        format!("{port}-127.0.0.1.localhost"),
        format!("{port}-localhost.localhost"),
        format!("{port}-0000.localhost"),
        format!("{port}-.localhost"),
        format!("{port}.localhost"),
        format!("x@127.0.0.1:{port}"),
        format!("8000-x.localhost:{port}@evil"),
        "..".to_owned(),
        "*".to_owned(),
        "[::1]".to_owned(),
    ] {
        let answer = ask(&ingress, "GET", "/", &[("Host", host.as_str())]);
        assert!((400..=502).contains(&answer.status), "{host}: {answer:?}");
        assert!(!answer.body.contains("greetings"), "{host}: {answer:?}");
    }
}

#[test]
fn absolute_targets_and_tunnels_lead_nowhere() {
    let lab = Lab::with_image();
    let port = greeter();
    let id = lab.sandbox(&["--public"]);
    lab.web_server(&id, 8000, "inside");
    let ingress = lab.addresses().ingress;
    let good = format!("8000-{id}.localhost");
    for request in [
        format!(
            "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: {good}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET http://{good}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        ),
        format!("CONNECT {good}:80 HTTP/1.1\r\nHost: {good}\r\nConnection: close\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: {good}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        ),
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let answer = raw(&ingress, &request);
        assert!((400..=502).contains(&answer.status), "{request}: {answer:?}");
        assert!(!answer.body.contains("greetings"), "{request}: {answer:?}");
    }
}

#[test]
fn a_second_request_is_not_smuggled_in() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public"]);
    let private = lab.sandbox(&[]);
    lab.web_server(&id, 8000, "inside");
    lab.web_server(&private, 8000, "private");
    let ingress = lab.addresses().ingress;
    let host = format!("8000-{id}.localhost");
    let hidden = format!("GET / HTTP/1.1\r\nHost: 8000-{private}.localhost\r\n\r\n");
    for headers in [
        format!("Content-Length: 0\r\nContent-Length: {}\r\n", hidden.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", hidden.len() + 5),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
    ] {
        let mut stream = connect(&ingress);
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n0\r\n\r\n{hidden}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("private"), "{headers}: {text}");
    }
}

#[test]
fn the_ports_of_headers_are_ports_inside() {
    let lab = Lab::with_image();
    let port = greeter().to_string();
    let id = lab.sandbox(&[]);
    let token = lab.traffic_token(&id);
    let listen = lab.serve_tcp();
    for address in [&listen, &lab.addresses().ingress] {
        for asked in ["22", port.as_str(), "0", "-1", "65536", "99999", "8000/../22", "", "22 80"] {
            let headers =
                [("E2b-Sandbox-Id", id.as_str()), ("E2b-Sandbox-Port", asked), (TOKEN, &token)];
            let answer = ask(address, "GET", "/", &headers);
            assert!((400..=502).contains(&answer.status), "{asked}: {answer:?}");
            assert!(!answer.body.contains("greetings"), "{asked}: {answer:?}");
        }
        let other = [("E2b-Sandbox-Id", "127.0.0.1"), ("E2b-Sandbox-Port", port.as_str())];
        assert!(ask(address, "GET", "/", &other).status >= 400);
    }
}

#[test]
fn a_name_and_a_header_of_two_sandboxes_open_neither_without_its_token() {
    let lab = Lab::with_image();
    let (one, two) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.web_server(&one, 8000, "of one");
    lab.web_server(&two, 8000, "of two");
    let token = lab.traffic_token(&two);
    let header = [("E2b-Sandbox-Id", two.as_str()), ("E2b-Sandbox-Port", "8000"), (TOKEN, &token)];
    let answer = lab.get_port(&one, 8000, &header);
    assert_ne!(answer.body, "of one", "{answer:?}");
    let access = lab.show(&two)["access_token"].as_str().unwrap().to_owned();
    let host = format!("49983-{one}.localhost");
    let shown = [("Host", host.as_str()), ("X-Access-Token", &access)];
    assert_eq!(ask(&lab.addresses().ingress, "GET", "/envs", &shown).status, 401);
}

#[test]
fn only_the_control_plane_tells_a_guest_what_it_serves_with() {
    let lab = Lab::with_image();
    let listen = lab.serve_tcp();
    let id = lab.sandbox(&["--public"]);
    let access = lab.show(&id)["access_token"].as_str().unwrap().to_owned();
    let host = format!("49983-{id}.localhost");
    let ingress = lab.addresses().ingress;
    let bearer = format!("Bearer {}", lab.ok(&["token", "create", "t", "--scope", "admin"]).trim());
    let body = r#"{"accessToken": "mine"}"#;
    let absolute = format!("http://{host}/init");
    let paths =
        ["/init", "/init/", "/init?x=1", "//init", "/./init", "/%69nit", "/x/../init", &absolute];
    for path in paths {
        for token in [&access, "", "mine"] {
            let shown = [
                ("Host", host.as_str()),
                ("X-Access-Token", token),
                ("Content-Type", "application/json"),
            ];
            let answer = send(&ingress, "POST", path, &shown, body);
            assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        }
        if path == "/init" || path.starts_with("/init?") {
            let shown = [("Host", host.as_str()), ("X-Access-Token", access.as_str())];
            assert_eq!(send(&ingress, "POST", path, &shown, body).status, 403);
        }
    }
    for path in ["init", "init?x", "init%3Fx", "%69nit", "init%23x", "/init", "x/../init"] {
        let path = format!("/api/v1/sandboxes/{id}/guest/{path}");
        let shown = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let answer = send(&listen, "POST", &path, &shown, body);
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
    }
    let shown = [("Host", host.as_str()), ("X-Access-Token", access.as_str())];
    assert_eq!(ask(&ingress, "GET", "/envs", &shown).status, 200, "its token is what it was");
}
