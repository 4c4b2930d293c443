//! E2B's command line, the one from npm, unmodified: what its users type, against the real binary.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::sdk::{Service, node, npm};
use crate::support::{Done, terminal_of};

const CLI: &str = "@e2b/cli@2.19.0";

/// The command line with a home folder of its own, where nobody is logged in.
struct Cli {
    service: Service,
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Cli {
    fn start() -> Self {
        let program = npm(CLI).join("node_modules/@e2b/cli/dist/index.js");
        Self { service: Service::start(), program, home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.service.by_url(&node());
        command.arg(&self.program).args(words).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Done {
        Done::of(self.command(words).output().unwrap())
    }

    fn ok(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 0, "{words:?}\n{}\n{}", done.stdout, done.stderr);
        done.stdout
    }

    fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(words)).unwrap()
    }
}

#[test]
fn sandboxes_from_create_to_kill() {
    let cli = Cli::start();
    let id = cli.ok(&["sandbox", "create", "base", "--detach", "--timeout", "200"]);
    let id = id.trim();
    let listed = cli.json(&["sandbox", "list", "--format", "json"]);
    assert_eq!(listed[0]["sandboxId"], id);
    assert!(cli.ok(&["sandbox", "info", id]).contains("State: running"));

    let exec = ["sandbox", "exec", "-u", "root", "-c", "/tmp", "-e", "A=1", id];
    let done = cli.run(&[&exec[..], &["echo $A in $PWD; exit 3"]].concat());
    assert_eq!((done.stdout.as_str(), done.code), ("1 in /tmp\n", 3));
    let logs = cli.ok(&["sandbox", "logs", id, "--format", "json"]);
    let lines = logs.lines().filter(|line| !line.is_empty());
    let lines: Vec<serde_json::Value> =
        lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |level: &str, message: &str| {
        let is = |line: &serde_json::Value| line["message"] == message && line["level"] == level;
        assert!(lines.iter().any(is), "{lines:?}");
    };
    said("info", "1 in /tmp");
    said("error", "process ended: exit status 3");
    assert!(cli.ok(&["sandbox", "logs", id]).contains("1 in /tmp"));
    assert!(cli.ok(&["sandbox", "metrics", id]).contains(&format!("Metrics for sandbox {id}")));

    cli.ok(&["sandbox", "pause", id]);
    let paused = cli.json(&["sandbox", "list", "--state", "paused", "--format", "json"]);
    assert_eq!(paused[0]["sandboxId"], id);
    cli.ok(&["sandbox", "resume", id]);
    let snapshot = cli.ok(&["sandbox", "snapshot", "create", id]);
    let snapshot = snapshot.split_whitespace().find(|word| word.starts_with("snap-")).unwrap();
    assert!(cli.ok(&["sandbox", "snapshot", "list", id]).contains(snapshot));
    cli.ok(&["sandbox", "snapshot", "delete", snapshot]);
    cli.ok(&["sandbox", "kill", id]);
    assert!(cli.ok(&["sandbox", "list"]).contains("No sandboxes found"));
    cli.service.left_nothing();
}

#[test]
fn a_terminal_in_a_sandbox() {
    let cli = Cli::start();
    let id = cli.ok(&["sandbox", "create", "base", "--detach"]);
    let mut connect = cli.command(&["sandbox", "connect", id.trim()]);
    connect.env("PATH", std::env::var_os("PATH").unwrap());
    let play = "expect('Terminal connecting')\ntype('echo it-is-$((6*7))\\n')\n\
                expect('it-is-42')\ntype('exit\\n')";
    let done = terminal_of(&connect, cli.home.path(), play);
    assert!(done.stdout.contains("status 0"), "{}{}", done.stdout, done.stderr);
    cli.ok(&["sandbox", "kill", "--all"]);
    cli.service.left_nothing();
}

#[test]
fn templates_from_a_dockerfile_to_their_end() {
    let cli = Cli::start();
    let dockerfile = "FROM bash\nRUN echo made > /made\nCOPY note.txt /note.txt\nENV WHO=cli\n";
    fs::write(cli.home.path().join("e2b.Dockerfile"), dockerfile).unwrap();
    fs::write(cli.home.path().join("note.txt"), "noted\n").unwrap();
    let built =
        cli.ok(&["template", "create", "walk", "--cmd", "sleep 600", "--ready-cmd", "true"]);
    assert!(built.contains("Building sandbox template walk finished"), "{built}");
    let templates = cli.json(&["template", "list", "--format", "json"]);
    let names = templates.as_array().unwrap().iter().map(|one| one["templateID"].clone());
    assert!(names.into_iter().any(|name| name == "walk"), "{templates}");
    cli.ok(&["template", "publish", "walk", "--yes"]);
    cli.ok(&["template", "unpublish", "walk", "--yes"]);

    let id = cli.ok(&["sandbox", "create", "walk", "--detach"]);
    let exec = ["sandbox", "exec", id.trim(), "cat /made /note.txt; echo $WHO"];
    assert_eq!(cli.ok(&exec), "made\nnoted\ncli\n");
    cli.ok(&["sandbox", "kill", id.trim()]);
    cli.ok(&["template", "delete", "walk", "--yes"]);
    assert!(!cli.ok(&["template", "list"]).contains("walk"));
    cli.service.left_nothing();
}

#[test]
fn a_wrong_key_is_named() {
    let cli = Cli::start();
    let mut command = cli.command(&["sandbox", "list"]);
    command.env("E2B_API_KEY", format!("e2b_{}", "0".repeat(40)));
    let done = Done::of(command.output().unwrap());
    assert_ne!(done.code, 0);
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(said.to_lowercase().contains("unauthorized"), "{said}");
}
