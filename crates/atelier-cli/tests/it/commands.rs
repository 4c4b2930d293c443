//! Commands that need no control plane, and what is said when none can be started.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::atelier;

fn run(home: &Path, arguments: &[&str]) -> Output {
    atelier(home, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_and_version_need_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"], &["version", "--json"]] {
        let output = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was made");
}

#[test]
fn a_control_plane_that_ends_at_once_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["env", "ls"]);
    let errors = text(&output.stderr);
    assert!(errors.starts_with("error: the control plane could not be started: "), "{errors}");
    assert!(errors.contains("started: there is no server here"), "{errors}");
    assert_eq!(output.status.code(), Some(9), "the code says why it ended");
}

#[test]
fn with_json_an_error_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["env", "ls", "--json"]);
    let problem: atelier_api::Problem = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(problem.code, "control_plane.start");
}

#[test]
fn a_home_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let mut command = atelier(dir.path(), &["run", "--", "true"]);
    let output = command.env("ATELIER_HOME", dir.path().join("file/home")).output().unwrap();
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let none = atelier(dir.path(), &["status"]).env_remove("ATELIER_HOME").output().unwrap();
    assert_eq!(none.status.code(), Some(8), "{none:?}");
    assert!(text(&none.stderr).contains("hint: set ATELIER_HOME"), "{none:?}");
}

#[test]
fn status_and_stop_start_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let status = run(dir.path(), &["status"]);
    assert_eq!(status.status.code(), Some(3), "{status:?}");
    let stop = run(dir.path(), &["stop"]);
    assert_eq!(text(&stop.stdout), "no control plane was running\n");
    assert!(!dir.path().join("serve.log").exists());
}

#[test]
fn the_doctor_works_without_a_control_plane() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(8));
    let checks: Vec<atelier_api::system::Check> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["control plane", "database"]);
}

#[test]
fn the_doctor_asks_before_it_mends() {
    let dir = tempfile::tempdir().unwrap();
    let asked = run(dir.path(), &["doctor", "--fix"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert!(text(&asked.stderr).contains("--yes"), "{asked:?}");
    let mended = run(dir.path(), &["doctor", "--fix", "--yes"]);
    assert!(text(&mended.stdout).contains("fixed    database"), "{mended:?}");
}

#[test]
fn removing_asks_and_without_a_terminal_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["env", "rm", "a", "b"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Remove a, b"), "{output:?}");
}

#[test]
fn config_shows_where_each_value_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.yaml"), "runtime: gvisor\n").unwrap();
    let mut command = atelier(dir.path(), &["config"]);
    let output = command.env("ATELIER_MEMORY", "2g").output().unwrap();
    let shown = text(&output.stdout);
    let line = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let file = dir.path().join("config.yaml");
    assert_eq!(line("runtime"), format!("runtime gvisor {}", file.display()));
    assert_eq!(line("resources.memory"), "resources.memory 2 GiB environment");
    assert_eq!(line("idle_stop"), "idle_stop 30m default");
}

#[test]
fn a_mistake_in_the_settings_has_its_place_and_code() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.yaml"), "\nidle: 3\n").unwrap();
    let output = run(dir.path(), &["config"]);
    assert!(text(&output.stderr).contains("config.yaml:2:1: "), "{output:?}");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn init_writes_once() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), &["init"]).status.code(), Some(0));
    assert_eq!(run(dir.path(), &["init"]).status.code(), Some(4));
    assert_eq!(run(dir.path(), &["init", "--force"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(dir.path().join("atelier.yaml")).unwrap(), "# a template\n");
}

#[test]
fn completions_and_manuals_are_made() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(dir.path(), &["completions", shell]);
        assert!(text(&output.stdout).contains("fix") || output.stdout.len() > 1000, "{shell}");
    }
    let pages = dir.path().join("man");
    assert_eq!(run(dir.path(), &["man", pages.to_str().unwrap()]).status.code(), Some(0));
    assert!(pages.join("atelier-env-diff.1").exists(), "{:?}", fs::read_dir(&pages));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = atelier(dir.path(), &["completions", "bash"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
}

#[test]
fn another_control_plane_is_never_started() {
    let dir = tempfile::tempdir().unwrap();
    for (host, code) in [("unix:/nowhere/sock", 8), ("http://127.0.0.1:1", 8), ("ftp://x", 2)] {
        let output =
            atelier(dir.path(), &["env", "ls"]).env("ATELIER_HOST", host).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    assert!(!dir.path().join("serve.log").exists());
}
