//! The examples run as their README says.

use std::path::Path;

use crate::support::{Done, Lab, program};

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

/// A lab with the image `box` whose project is a copy of an example.
fn example_with_image(name: &str) -> Lab {
    let lab = example(name);
    lab.import_box();
    lab
}

#[test]
fn sandbox_forks_go_their_own_ways() {
    let lab = example_with_image("sandbox-forks");
    let done = program(&lab, "./try-all", &["box"], &[]);
    assert_eq!(done.code, 0, "{done:?}");
    let mut lines: Vec<_> = done.stdout.lines().skip(1).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "fork 1: schema v2-try-1, 10 orders",
            "fork 2: schema v2-try-2, 20 orders",
            "fork 3: schema v2-try-3, 30 orders",
            "the base: schema v1, 100 orders"
        ]
    );
    assert_eq!(lab.json(&["sandbox", "ls"]), serde_json::json!([]));
}

#[test]
fn sandbox_api_walks_through() {
    let lab = example_with_image("sandbox-api");
    lab.ok(&["stop"]);
    lab.ok(&["serve", "--background", "--listen", "127.0.0.1:0"]);
    let host = format!("http://{}", lab.addresses().listen);
    let token = lab.ok(&["token", "create", "walk", "--scope", "sandboxes"]);
    let variables = [("ATELIER_HOST", host.as_str()), ("ATELIER_TOKEN", token.trim())];
    let done = program(&lab, "./walk.py", &["box"], &variables);
    let expected = "sorted: ['apple', 'fig', 'pear']
answered: FROM OUTSIDE
failed: 3 wrong
file: /srv/words.txt 15 644
read: pear
restored: 15 bytes
removed: True
";
    assert_eq!((done.stdout.as_str(), done.code), (expected, 0), "{}", done.stderr);
}

#[test]
fn ten_front_ends_share_one_database() {
    let mut lab = example("shared-database");
    lab.serve_with_engine();
    lab.write(".env", "IMAGE=atelier-test:1\n");
    let done = program(&lab, "./try-all", &[], &[]);
    assert_eq!(done.code, 0, "{done:?}");
    for n in 1..=10 {
        let own = format!("front end of front-{n}\n");
        assert!(done.stdout.contains(&own), "{own} is not in {}", done.stdout);
    }
    assert!(done.stdout.ends_with("databases: 1\n"), "{}", done.stdout);
    assert_eq!(lab.json(&["env", "ls"]), serde_json::json!([]));
}
