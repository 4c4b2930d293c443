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

/// What the suite says, and whether it is content.
fn run(arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["250", &node(), &script(SUITE)]).args(arguments).current_dir(folder.path());
    let known = known();
    let output = command.args(["--expected-failures", &known]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{said}\n{errors}"))
}

fn suite(arguments: &[&str]) -> String {
    let (content, said) = run(arguments);
    assert!(content, "{said}");
    said
}

/// All that a revision requires of clients, at that revision's wire. The suite runs its servers all at once in one process; on a
/// machine with other work they reset connections, so that who fails in the crowd is tried alone, which counts.
fn client(revision: &str, at_least: usize) {
    let own = example("conformance_client");
    let us = ["client", "--command", &own];
    let (content, said) = run(&[us.as_slice(), &["--requirements", revision]].concat());
    let named = |mark: char| {
        let lines = said.lines().filter_map(move |line| line.trim().strip_prefix(mark));
        lines.filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name)
    };
    let passed = named('✓').count();
    let failed: Vec<_> = named('✗').filter(|name| !is_known(name)).collect();
    assert_eq!(content, failed.is_empty(), "{said}");
    assert!(passed + failed.len() >= at_least, "{passed} scenarios: {said}");
    for scenario in failed {
        suite(&[us.as_slice(), &["--scenario", scenario, "--spec-version", revision]].concat());
    }
}

fn is_known(scenario: &str) -> bool {
    let text = std::fs::read_to_string(known()).unwrap();
    text.lines().any(|line| line.trim() == format!("- {scenario}"))
}

#[test]
fn our_client_does_what_2025_11_25_requires() {
    client("2025-11-25", 18);
}

#[test]
fn our_client_does_what_2026_07_28_requires() {
    client("2026-07-28", 32);
}

/// The scenarios for servers that ask for nothing but the protocol, and those whose fixtures our server can have.
fn server(revision: &str, scenarios: &[&str]) {
    let (_server, url) = served(&[]);
    for scenario in scenarios {
        let said =
            suite(&["server", "--url", &url, "--scenario", scenario, "--spec-version", revision]);
        assert!(said.contains("Passed: "), "{scenario} did not run: {said}");
    }
}

#[test]
fn our_server_keeps_2025_11_25() {
    let scenarios = [
        "server-initialize",
        "ping",
        "tools-list",
        "tools-call-elicitation",
        "resources-list",
        "resources-read-text",
        "resources-templates-read",
        "prompts-list",
        "prompts-get-simple",
        "prompts-get-with-args",
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
        "resources-list",
        "resources-read-text",
        "resources-templates-read",
        "sep-2164-resource-not-found",
        "prompts-list",
        "prompts-get-simple",
        "prompts-get-with-args",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
        "server-sse-multiple-streams",
    ];
    server("2026-07-28", &scenarios);
}
