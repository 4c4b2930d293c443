//! The files of a volume over the E2B API: only with its token, and never out of it.

use serde_json::{Value, json};

use crate::support::{Lab, send};

/// The control plane of the lab, over TCP as well.
fn serve(lab: &Lab) {
    lab.ok(&["stop"]);
    lab.ok(&["serve", "--background", "--listen", "127.0.0.1:0"]);
}

/// Sends a request with a volume's token.
fn ask(lab: &Lab, token: &str, method: &str, target: &str, body: &str) -> (u16, String) {
    let listen = lab.addresses().listen;
    let bearer = format!("Bearer {token}");
    let answer = send(&listen, method, target, &[("authorization", &bearer)], body);
    (answer.status, answer.body)
}

#[test]
fn links_that_a_sandbox_plants_lead_nowhere() {
    let lab = Lab::with_runtime("oci");
    serve(&lab);
    let made: Value = lab.json(&["volume", "create", "data"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let sandbox = lab.sandbox(&["--network", "none", "--volume", "data:/data"]);
    lab.sh(
        &sandbox,
        "cd /data && ln -s /etc/passwd file && ln -s / root && ln -s ../../../.. up && \
         mkfifo pipe && mkdir etc && echo own > etc/passwd",
    );
    let on = |method: &str, kind: &str, path: &str, body: &str| {
        let target = format!("/volumecontent/{id}/{kind}?path={path}&force=true");
        ask(&lab, token, method, &target, body)
    };
    // Inside of the volume its own folder is the root.
    for path in ["/file", "/root/etc/passwd", "/up/etc/passwd", "etc/passwd"] {
        assert_eq!(on("GET", "file", path, ""), (200, "own\n".to_owned()), "{path}");
    }
    assert_eq!(on("GET", "file", "/../../etc/passwd", "").0, 400);
    assert_eq!(on("GET", "file", "/pipe", "").0, 404, "nobody waits for a pipe");
    assert_eq!(on("GET", "file", "/up/home", "").0, 404);
    // A link is written over, not through; removing a folder removes links, not what they name.
    assert_eq!(on("PUT", "file", "/file", "new").0, 201);
    assert_eq!(lab.sh(&sandbox, "cat /data/file /data/etc/passwd"), "newown\n");
    assert_eq!(on("DELETE", "path", "/root", "").0, 204);
    assert_eq!(lab.sh(&sandbox, "cat /data/etc/passwd"), "own\n");
}

#[test]
fn only_the_volumes_own_token_opens_it() {
    let lab = Lab::with_runtime("oci");
    serve(&lab);
    let (one, two) =
        (lab.json(&["volume", "create", "one"]), lab.json(&["volume", "create", "two"]));
    let text = |volume: &Value, key: &str| volume[key].as_str().unwrap().to_owned();
    let target = format!("/volumecontent/{}/path?path=/", text(&one, "id"));
    assert_eq!(ask(&lab, &text(&one, "token"), "GET", &target, "").0, 200);
    let key = lab.ok(&["token", "create", "sdk"]);
    for wrong in [text(&two, "token"), key.trim().to_owned(), String::new()] {
        assert_eq!(ask(&lab, &wrong, "GET", &target, "").0, 401, "{wrong}");
    }
    lab.ok(&["volume", "rm", "--yes", "one"]);
    assert_eq!(ask(&lab, &text(&one, "token"), "GET", &target, "").0, 401);
    assert_eq!(lab.json(&["volume", "ls"])[0]["name"], json!("two"));
}
