//! MCP's conformance suite: every client scenario that the two last revisions require, and those for servers
//! that want no particular tools.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{example, node, script, served};

const SUITE: &str = "@modelcontextprotocol/conformance/dist/index.js";

/// What our side is known to fail, with the reasons.
fn known() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/mcp/expected-failures.yaml").display().to_string()
}

fn suite(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["250", &node(), &script(SUITE)]).args(arguments).current_dir(folder.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    said
}

/// All that a revision requires of clients, at that revision's wire.
fn client(revision: &str, at_least: usize) {
    let own = example("conformance_client");
    let said = suite(&[
        "client",
        "--command",
        &own,
        "--requirements",
        revision,
        "--expected-failures",
        &known(),
    ]);
    let passed = said.lines().filter(|line| line.starts_with('✓')).count();
    assert!(passed >= at_least, "{passed} scenarios: {said}");
}

#[test]
fn our_client_does_what_2025_11_25_requires() {
    client("2025-11-25", 18);
}

#[test]
fn our_client_does_what_2026_07_28_requires() {
    client("2026-07-28", 32);
}

/// The scenarios for servers that ask for nothing but the protocol.
fn server(revision: &str, scenarios: &[&str]) {
    let (_server, url) = served(&[]);
    for scenario in scenarios {
        let said = suite(&[
            "server",
            "--url",
            &url,
            "--scenario",
            scenario,
            "--spec-version",
            revision,
            "--expected-failures",
            &known(),
        ]);
        assert!(said.contains("Passed: "), "{scenario} did not run: {said}");
    }
}

#[test]
fn our_server_keeps_2025_11_25() {
    let scenarios = [
        "server-initialize",
        "ping",
        "tools-list",
        "dns-rebinding-protection",
        "server-session-lifecycle",
        "server-sse-multiple-streams",
    ];
    server("2025-11-25", &scenarios);
}

#[test]
fn our_server_keeps_2026_07_28() {
    let scenarios = [
        "server-stateless",
        "tools-list",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
        "server-sse-multiple-streams",
    ];
    server("2026-07-28", &scenarios);
}
