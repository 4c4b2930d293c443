//! What a token opens over TCP, in our own API and in that of E2B.

use crate::support::{Lab, send};

struct Api {
    address: String,
}

impl Api {
    /// The status of an answer.
    fn status(&self, token: Option<&str>, method: &str, path: &str, body: &str) -> u16 {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        send(&self.address, method, path, &headers, body).status
    }
}

const MAKE: &str = r#"{"image": "box"}"#;

#[test]
fn without_a_token_nothing_is_served_over_tcp() {
    let lab = Lab::with_image();
    let api = Api { address: lab.serve_tcp() };
    let id = lab.sandbox(&[]);
    for token in [None, Some("e2b_0000000000000000000000000000000000000000"), Some(""), Some("x y")]
    {
        for (method, path) in [
            ("GET", "/api/v1/status".to_owned()),
            ("GET", "/api/v1/sandboxes".to_owned()),
            ("POST", "/api/v1/sandboxes".to_owned()),
            ("GET", format!("/api/v1/sandboxes/{id}")),
            ("DELETE", format!("/api/v1/sandboxes/{id}")),
            ("GET", format!("/api/v1/sandboxes/{id}/guest/files?path=/etc/passwd")),
            ("POST", "/api/v1/stop".to_owned()),
            ("GET", "/sandboxes".to_owned()),
            ("GET", "/v2/sandboxes".to_owned()),
            ("POST", "/sandboxes".to_owned()),
            ("DELETE", format!("/sandboxes/{id}")),
            ("GET", "/templates".to_owned()),
        ] {
            let status = api.status(token, method, &path, if method == "POST" { MAKE } else { "" });
            assert!(status == 401 || status == 403, "{token:?} {method} {path}: {status}");
        }
    }
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_scope_opens_its_own_and_nothing_beside_it() {
    let lab = Lab::with_image();
    let api = Api { address: lab.serve_tcp() };
    let id = lab.sandbox(&[]);
    let token = |name: &str, scope: &str| {
        lab.ok(&["token", "create", name, "--scope", scope]).trim().to_owned()
    };
    let (read, sandboxes, admin) =
        (token("r", "read"), token("s", "sandboxes"), token("a", "admin"));
    let show = format!("/api/v1/sandboxes/{id}");
    let guest = format!("/api/v1/sandboxes/{id}/guest/files?path=/etc/passwd");
    let remove = "/api/v1/images/remove";
    for (token, method, path, body, wanted) in [
        (&read, "GET", "/api/v1/sandboxes", "", 200),
        (&read, "GET", show.as_str(), "", 403),
        (&read, "GET", guest.as_str(), "", 403),
        (&read, "POST", "/api/v1/sandboxes", MAKE, 403),
        (&read, "POST", "/api/v1/stop", "{}", 403),
        (&sandboxes, "GET", show.as_str(), "", 200),
        (&sandboxes, "GET", guest.as_str(), "", 200),
        (&sandboxes, "POST", "/api/v1/tokens", r#"{"name": "x", "scopes": ["admin"]}"#, 403),
        (&sandboxes, "GET", "/api/v1/tokens", "", 403),
        (&sandboxes, "POST", remove, r#"{"image": "box", "force": true}"#, 403),
        (&sandboxes, "POST", "/api/v1/stop", "{}", 403),
        (&sandboxes, "POST", "/api/v1/sandboxes", MAKE, 200),
        (&admin, "GET", "/api/v1/tokens", "", 200),
        (&admin, "GET", guest.as_str(), "", 200),
    ] {
        let status = api.status(Some(token), method, path, body);
        assert_eq!(status, wanted, "{method} {path}");
    }
}

#[test]
fn a_token_of_reading_shows_no_secret() {
    let lab = Lab::with_image();
    let address = lab.serve_tcp();
    let id = lab.sandbox(&[]);
    let shown = lab.show(&id);
    let token = lab.ok(&["token", "create", "r", "--scope", "read"]);
    let bearer = format!("Bearer {}", token.trim());
    for path in [
        "/api/v1/sandboxes",
        "/api/v1/tokens",
        "/v2/sandboxes",
        "/sandboxes",
        &format!("/sandboxes/{id}"),
    ] {
        let answer = send(&address, "GET", path, &[("Authorization", &bearer)], "");
        for secret in [&shown["access_token"], &shown["traffic_token"], &token.trim().into()] {
            assert!(!answer.body.contains(secret.as_str().unwrap()), "{path}: {answer:?}");
        }
    }
}

#[test]
fn the_header_of_the_e2b_sdks_is_a_token_too() {
    let lab = Lab::with_image();
    let address = lab.serve_tcp();
    let id = lab.sandbox(&["--metadata", "team=red"]);
    let token = lab.ok(&["token", "create", "sdk"]).trim().to_owned();
    assert!(token.starts_with("e2b_") && token.len() == 44, "{token}");
    let listed = send(&address, "GET", "/v2/sandboxes", &[("X-API-KEY", &token)], "");
    assert_eq!(listed.status, 200, "{listed:?}");
    assert_eq!(
        (&listed.json()[0]["sandboxID"], &listed.json()[0]["metadata"]["team"]),
        (&id.as_str().into(), &"red".into())
    );
    let wrong = send(
        &address,
        "GET",
        "/v2/sandboxes",
        &[("X-API-KEY", &token.replace("e2b_", "e2b_f"))],
        "",
    );
    assert_eq!(wrong.status, 401, "{wrong:?}");
}

#[test]
fn the_command_line_takes_a_token_for_another_machines_control_plane() {
    let lab = Lab::with_image();
    let host = format!("http://{}", lab.serve_tcp());
    let id = lab.sandbox(&[]);
    let token = lab.ok(&["token", "create", "laptop"]).trim().to_owned();
    let run = |args: &[&str]| {
        let mut command = lab.command(args);
        crate::support::Done::of(
            command.env("ATELIER_HOST", &host).env("ATELIER_TOKEN", &token).output().unwrap(),
        )
    };
    assert_eq!(run(&["sandbox", "exec", &id, "--", "echo", "over TCP"]).stdout, "over TCP\n");
    lab.write("file", "text");
    assert_eq!(run(&["sandbox", "cp", "file", &format!("{id}:/srv/")]).code, 0);
    assert_eq!(run(&["sandbox", "fs", "cat", &id, "/srv/file"]).stdout, "text");
    run(&["token", "ls"]).fails(10, &["scope"]);
}
