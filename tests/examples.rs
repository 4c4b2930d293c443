//! The examples run as their README says.

use std::path::Path;

use crate::support::{Done, Lab};

/// A lab whose project is a copy of an example.
fn example(name: &str) -> Lab {
    let lab = Lab::bare(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let copied = std::process::Command::new("cp")
        .args(["-r", "--"])
        .arg(source.join("."))
        .arg(&lab.project)
        .status()
        .unwrap();
    assert!(copied.success());
    lab
}

#[test]
fn python_web_passes_its_tests_in_two_environments_at_once() {
    let lab = example("python-web");
    let clients: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|e| lab.spawn(&["run", e, "--", "python3", "-m", "unittest"]))
        .collect();
    for client in clients {
        let done = Done::of(client.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains("Ran 2 tests"), "{}", done.stderr);
    }
}

#[test]
fn node_web_passes_its_tests() {
    let lab = example("node-web");
    let done = lab.run(&["run", "a", "--", "node", "--test"]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("pass 1"), "{}", done.stdout);
}

#[test]
fn rust_cli_builds_and_passes_its_tests() {
    let lab = example("rust-cli");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let done = lab.run(&["run", "a", "--", &cargo, "test", "--offline"]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("2 passed"), "{}", done.stdout);
    assert!(!lab.project.join("target").exists());
}
