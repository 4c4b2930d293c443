//! Verbs about sandboxes: what is asked of the control plane, and what stands on the terminal.

use std::process::Output;

use serde_json::json;

use crate::machine::{Machine, sandbox};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn run(machine: &Machine, arguments: &[&str]) -> Output {
    machine.atelier(arguments).output().unwrap()
}

#[test]
fn create_prints_the_name_alone_and_notes_beside_it() {
    let machine = Machine::new();
    machine.answer("POST /api/v1/sandboxes", sandbox("dev"));
    let arguments = [
        "sandbox",
        "create",
        "alpine:3.20",
        "--name",
        "dev",
        "--memory",
        "512m",
        "-e",
        "A=1",
        "--label",
        "team=x",
        "--timeout",
        "30m",
        "--on-expiry",
        "pause",
        "--allow",
        "pypi.org:443",
    ];
    let output = run(&machine, &arguments);
    assert_eq!(text(&output.stdout), "dev\n", "{output:?}");
    assert_eq!(text(&output.stderr), "atelier: a note\n");
    let asked = machine.asked("POST /api/v1/sandboxes").unwrap();
    let want = json!({
        "name": "dev", "from": "alpine:3.20", "resources": {"memory": 512 << 20},
        "variables": {"A": "1"}, "metadata": {"team": "x"}, "timeout": 1800,
        "on_expiry": "pause", "auto_resume": false, "public": false,
        "network": {"mode": "allowlist", "allow": ["pypi.org:443"]},
    });
    assert_eq!(asked, want);
}

#[test]
fn only_one_beginning_can_be_named() {
    let machine = Machine::new();
    for two in [["x", "--image", "y"], ["--image=y", "--template", "z"]] {
        let output = run(&machine, &[&["sandbox", "create"][..], &two].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert!(machine.plane.calls.lock().unwrap().is_empty());
}

#[test]
fn ls_lists_and_filters() {
    let machine = Machine::new();
    machine.answer("GET /api/v1/sandboxes", json!([sandbox("dev")]));
    let listed = run(&machine, &["sandbox", "ls"]);
    let line = text(&listed.stdout).lines().nth(1).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[..5], ["0123456789ab", "dev", "running", "oci", "alpine:3.20"]);
    assert_eq!(text(&run(&machine, &["sandbox", "ls", "-q"]).stdout), "dev\n");
    let filters =
        ["sandbox", "ls", "--state", "paused", "--metadata", "team=x", "--runtime", "oci"];
    run(&machine, &filters);
    let calls = machine.plane.calls.lock().unwrap();
    let (_, asked, _) = calls.last().unwrap();
    assert_eq!(asked, "/api/v1/sandboxes?metadata=team%3Dx&runtime=oci&state=paused");
}

#[test]
fn removing_asks_and_goes_on_after_one_that_is_not_there() {
    let machine = Machine::new();
    machine.answer("DELETE /api/v1/sandboxes/dev", json!({}));
    let asked = run(&machine, &["sandbox", "rm", "dev"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    let output = run(&machine, &["sandbox", "rm", "gone", "dev", "--yes"]);
    assert_eq!(text(&output.stdout), "removed dev\n");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn a_token_is_alone_on_standard_output() {
    let machine = Machine::new();
    let made = json!({
        "id": "1", "name": "ci", "prefix": "e2b_12", "scopes": ["sandboxes"],
        "created_at": "2026-01-01T00:00:00Z", "secret": "e2b_1234",
    });
    machine.answer("POST /api/v1/tokens", made);
    let output = run(&machine, &["token", "create", "ci", "--expires-in", "30d"]);
    assert_eq!(text(&output.stdout), "e2b_1234\n", "{output:?}");
    assert!(text(&output.stderr).contains("shown this once"));
    let asked = machine.asked("POST /api/v1/tokens").unwrap();
    assert_eq!(asked, json!({"name": "ci", "scopes": [], "expires_in": 2_592_000}));
}

#[test]
fn paths_are_sent_as_absolute_ones() {
    let machine = Machine::new();
    run(&machine, &["image", "import", "a.tar", "x:1"]);
    let asked = machine.asked("POST /api/v1/images/import").unwrap();
    assert_eq!(asked, json!({"path": machine.path("a.tar"), "name": "x:1"}));
    run(&machine, &["image", "build", "-t", "x:1", "--build-arg", "V=2"]);
    let asked = machine.asked("POST /api/v1/images/build").unwrap();
    assert_eq!(
        (&asked["context"], &asked["arguments"]),
        (&json!(machine.path("").canonicalize().unwrap()), &json!({"V": "2"}))
    );
    run(
        &machine,
        &["template", "build", "t", "--image", "x", "--repository", ".", "--setup", "make"],
    );
    let asked = machine.asked("POST /api/v1/templates").unwrap();
    assert!(asked["repository"].as_str().unwrap().starts_with('/'), "{asked}");
}

#[test]
fn every_change_is_asked_for_at_its_own_path() {
    let machine = Machine::new();
    let cases: &[(&[&str], &str, serde_json::Value)] = &[
        (&["start", "dev"], "start", json!({})),
        (&["stop", "dev"], "stop", json!({})),
        (&["pause", "dev"], "pause", json!({})),
        (&["resume", "dev", "--timeout", "90"], "resume", json!({"timeout": 90})),
        (&["extend", "dev", "2h"], "extend", json!({"timeout": 7200})),
        (&["extend", "dev", "--forever"], "extend", json!({})),
        (&["rename", "dev", "new"], "rename", json!({"name": "new"})),
        (&["network", "dev", "--network", "none"], "network", json!({"network": {"mode": "none"}})),
        (
            &["snapshot", "dev", "s", "--files-only"],
            "snapshots",
            json!({"name": "s", "memory": false}),
        ),
        (&["restore", "dev", "s", "--yes"], "restore", json!({"snapshot": "s"})),
        (&["fork", "dev", "-n", "3"], "fork", json!({"count": 3})),
    ];
    for (arguments, path, body) in cases {
        let output = run(&machine, &[&["sandbox"], *arguments].concat());
        // The control plane of this test knows none of them, and its answer is passed on.
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let asked = machine.asked(&format!("POST /api/v1/sandboxes/dev/{path}"));
        assert_eq!(asked.as_ref(), Some(body), "{arguments:?}");
    }
}

#[test]
fn with_json_an_answer_is_json_and_an_error_too() {
    let machine = Machine::new();
    machine.answer("GET /api/v1/sandboxes/dev", sandbox("dev"));
    let shown = run(&machine, &["sandbox", "show", "dev", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(json["access_token"], "t");
    assert!(!text(&run(&machine, &["sandbox", "show", "dev"]).stdout).contains("access"));
    let failed = run(&machine, &["sandbox", "show", "gone", "--json"]);
    let problem: atelier_api::Problem = serde_json::from_slice(&failed.stderr).unwrap();
    assert_eq!(problem.code, "test.absent");
}
