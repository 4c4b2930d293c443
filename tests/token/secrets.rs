//! `atelier token create|ls|revoke`: secrets are shown once, and end when they should.

use crate::support::{Lab, send, wait_until};

fn status(address: &str, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    send(address, "GET", "/api/v1/sandboxes", &[("Authorization", &bearer)], "").status
}

#[test]
fn a_revoked_token_is_refused_at_once() {
    let lab = Lab::new();
    let address = lab.serve_tcp();
    let token = lab.ok(&["token", "create", "ci"]).trim().to_owned();
    assert_eq!(status(&address, &token), 200);
    lab.ok(&["token", "revoke", "--yes", "ci"]);
    assert_eq!(status(&address, &token), 403);
    lab.run(&["token", "revoke", "--yes", "ci"]).fails(3, &["ci"]);
    assert_eq!(lab.json(&["token", "ls"]), serde_json::json!([]));
}

#[test]
fn a_token_ends_when_its_time_is_over() {
    let lab = Lab::new();
    let address = lab.serve_tcp();
    let token = lab.ok(&["token", "create", "short", "--expires-in", "2s"]).trim().to_owned();
    wait_until("it ended", || status(&address, &token) == 403);
}

#[test]
fn the_secret_is_shown_once_and_lies_nowhere() {
    let lab = Lab::new();
    lab.serve_tcp();
    let made = lab.json(&["token", "create", "ci", "--scope", "read", "--scope", "sandboxes"]);
    let secret = made["secret"].as_str().unwrap();
    let listed = lab.ok(&["token", "ls", "--json"]);
    assert!(!listed.contains(secret) && listed.contains("\"ci\""), "{listed}");
    assert!(!lab.ok(&["audit", "--json"]).contains(secret));
    lab.ok(&["stop"]);
    for entry in std::fs::read_dir(lab.home()).unwrap().flatten() {
        if entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
}

#[test]
fn a_name_belongs_to_one_token_and_who_used_it_is_audited() {
    let lab = Lab::with_image();
    let address = lab.serve_tcp();
    let token = lab.ok(&["token", "create", "ci"]).trim().to_owned();
    lab.run(&["token", "create", "ci"]).fails(4, &["ci"]);
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let made = send(&address, "POST", "/api/v1/sandboxes", &headers, r#"{"image": "box"}"#);
    assert_eq!(made.status, 200, "{made:?}");
    let rows = lab.json(&["audit"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["action"] == "sandbox.create");
    assert_eq!(row.unwrap()["actor"], "token:ci");
    assert!(lab.json(&["token", "ls"])[0]["last_used_at"].is_string());
}
