//! A day's work on a far host: the project goes there, changes come back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::Pair;

/// What `run -v` says of the transfer.
fn sent(pair: &Pair, env: &str) -> String {
    let done = pair.lab.run(&["--on", "far", "run", "-v", env, "--", "true"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let line = done.stderr.lines().find(|line| line.contains("sent ")).unwrap_or_default();
    line.trim_start_matches("atelier: ").to_owned()
}

#[test]
fn a_command_runs_there_on_the_projects_files() {
    let pair = Pair::new();
    let text = pair.ok(&["run", "e1", "--", "cat", "src/app.txt"]);
    assert_eq!(text, "one\ntwo\nthree\n");
    // It is that machine: its environments, its control plane, its home folder.
    let listed = pair.ok(&["env", "ls", "--quiet"]);
    assert_eq!(listed, "e1\n");
    assert_eq!(pair.lab.ok(&["env", "ls", "--quiet"]), "");
    let status: serde_json::Value = serde_json::from_str(&pair.ok(&["status", "--json"])).unwrap();
    assert_eq!(status["home"], pair.far.home().display().to_string());
    assert_eq!(pair.lab.run(&["--on", "far", "run", "e1", "--", "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(pair.ok(&["run", "e1", "--", "git", "log", "--format=%s"]), "first\n");
    // From a folder in the project, that folder there.
    let mut inner = pair.lab.command(&["--on", "far", "run", "e1", "--", "cat", "app.txt"]);
    let inner = inner.current_dir(pair.lab.project.join("src")).output().unwrap();
    assert_eq!(String::from_utf8(inner.stdout).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn only_what_changed_travels() {
    let pair = Pair::new();
    pair.lab.write("secret.env", "KEY=1\n");
    pair.lab.write(".atelierignore", "secret.env\n");
    pair.lab.write("tool.sh", "#!/bin/sh\necho tool\n");
    let first = sent(&pair, "e1");
    assert!(first.ends_with("files to far"), "{first}");
    assert_eq!(sent(&pair, "e1"), "sent 0 files to far");
    pair.lab.write("src/app.txt", "one\ntwo\nfour\n");
    assert_eq!(sent(&pair, "e1"), "sent 1 file to far");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(pair.lab.project.join("tool.sh"), mode).unwrap();
    fs::remove_file(pair.lab.project.join("README.md")).unwrap();
    symlink("src/app.txt", pair.lab.project.join("link")).unwrap();
    assert_eq!(sent(&pair, "e1"), "sent 0 files to far, removed 1 there");
    let mirror = pair.far.mirror();
    assert!(!mirror.join("README.md").exists());
    assert!(!mirror.join("secret.env").exists(), "what an environment does not get stays here");
    // A new environment is made of what is here now.
    assert_eq!(pair.ok(&["run", "e2", "--", "cat", "link"]), "one\ntwo\nfour\n");
    assert_eq!(pair.ok(&["run", "e2", "--", "./tool.sh"]), "tool\n");
}

#[test]
fn a_linked_work_tree_has_a_repository_there() {
    let mut pair = Pair::new();
    let linked = pair.lab.user_home().join("linked");
    pair.lab.git(&["worktree", "add", "-q", "-b", "other", linked.to_str().unwrap()]);
    pair.lab.project = linked;
    pair.lab.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    let log = pair.ok(&["run", "e1", "--", "git", "log", "--format=%D %s"]);
    assert_eq!(log, "HEAD -> other second\nmain first\n");
    assert_eq!(pair.ok(&["run", "e1", "--", "git", "status", "--short"]), "");
}

#[test]
fn changes_come_back_and_both_sides_are_kept() {
    let pair = Pair::new();
    let script =
        "sed -i 's/one/ONE/' src/app.txt; rm README.md; printf new >made.txt; chmod +x made.txt";
    pair.ok(&["run", "e1", "--", "sh", "-c", script]);
    let names = pair.ok(&["env", "diff", "e1", "--name-only"]);
    assert_eq!(names, "README.md\nmade.txt\nsrc/app.txt\n");
    // The project goes on here meanwhile.
    pair.lab.write("src/app.txt", "one\ntwo\nthree\nmine\n");
    let dry = pair.ok(&["env", "apply", "e1", "--dry-run"]);
    assert!(dry.ends_with("3 files would change\n"), "{dry}");
    assert!(pair.lab.project.join("README.md").exists());
    let applied = pair.ok(&["env", "apply", "e1"]);
    assert!(applied.contains("src/app.txt  (merged)\n"), "{applied}");
    assert_eq!(pair.lab.read("src/app.txt"), "ONE\ntwo\nthree\nmine\n");
    assert!(!pair.lab.project.join("README.md").exists());
    let made = fs::metadata(pair.lab.project.join("made.txt")).unwrap();
    assert_eq!(made.permissions().mode() & 0o111, 0o111);
    // What was applied is remembered: a later change merges with what became of it here.
    pair.ok(&["run", "e1", "--", "sed", "-i", "s/ONE/UNO/", "src/app.txt"]);
    pair.ok(&["env", "apply", "e1"]);
    assert_eq!(pair.lab.read("src/app.txt"), "UNO\ntwo\nthree\nmine\n");
}

#[test]
fn where_both_changed_the_same_lines_nothing_is_touched() {
    let pair = Pair::new();
    pair.ok(&["run", "e1", "--", "sh", "-c", "sed -i s/two/theirs/ src/app.txt; echo x >other"]);
    pair.lab.write("src/app.txt", "one\nours\nthree\n");
    let done = pair.lab.run(&["--on", "far", "env", "apply", "e1"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stderr.contains("src/app.txt"), "{}", done.stderr);
    assert_eq!(pair.lab.read("src/app.txt"), "one\nours\nthree\n");
    assert!(!pair.lab.project.join("other").exists());
}

#[test]
fn commits_come_back_as_a_branch() {
    let pair = Pair::new();
    let me = "[user]\n\tname = It's Me\n\temail = me@example.com\n";
    fs::write(pair.lab.user_home().join(".gitconfig"), me).unwrap();
    let script = "echo more >>src/app.txt; git -c user.name=A -c user.email=a@b commit -qam inside; echo x >loose";
    pair.ok(&["run", "e1", "--", "sh", "-c", script]);
    pair.ok(&["env", "apply", "e1", "--branch", "from-far", "-m", "loose ends"]);
    let log = pair.lab.git(&["log", "--format=%an: %s", "from-far"]);
    assert_eq!(log, "It's Me: loose ends\nA: inside\nTest: first\n");
    assert_eq!(pair.lab.git(&["status", "--short"]), "");
    let again = pair.lab.run(&["--on", "far", "env", "apply", "e1", "--branch", "from-far"]);
    assert_eq!(again.code, 4, "{}", again.stderr);
}
