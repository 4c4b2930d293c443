//! Trees that no copy expects.

use std::os::unix::fs::symlink;

use crate::support::{Lab, path};

#[test]
fn a_project_without_files_has_environments_too() {
    let lab = Lab::bare("empty");
    assert_eq!(lab.ok(&["run", "a", "--", "sh", "-c", "ls -A; echo made > x; ls"]), "x\n");
}

#[test]
fn a_project_folder_may_have_any_name() {
    for name in [
        &b"with space"[..],
        b"two\nlines",
        b"caf\xe9",
        b"quote'\"",
        b"comma,colon:",
        b"back\\slash",
    ] {
        let lab = Lab::bare(path(name));
        lab.write("f.txt", "here\n");
        let output = lab.command(&["run", "a", "--", "cat", "f.txt"]).output().unwrap();
        assert_eq!(output.stdout, b"here\n", "{name:?}: {output:?}");
    }
}

#[test]
fn odd_names_and_kinds_of_files_come_along() {
    let lab = Lab::new();
    let odd = lab.project.join(path(b"od\xffd\nname"));
    std::fs::write(&odd, "odd\n").unwrap();
    symlink("nowhere", lab.project.join("dangling")).unwrap();
    symlink("cycle", lab.project.join("cycle")).unwrap();
    symlink("/etc/passwd", lab.project.join("out")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(lab.project.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(lab.project.join("socket")).unwrap();
    let script = "cat od*; readlink dangling cycle out; test -p fifo && echo fifo; ls socket 2>&1";
    let seen = lab.run(&["run", "a", "--", "sh", "-c", script]).stdout;
    assert!(seen.starts_with("odd\nnowhere\ncycle\n/etc/passwd\nfifo\n"), "{seen}");
    let notes = lab.json(&["env", "show", "a"])["notes"].to_string();
    assert!(notes.contains("socket"), "{notes}");
}

#[test]
fn modes_times_and_hard_links_are_kept() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let lab = Lab::new();
    lab.write("tool.sh", "#!/bin/sh\n");
    let tool = lab.project.join("tool.sh");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::hard_link(&tool, lab.project.join("same.sh")).unwrap();
    let wanted = std::fs::metadata(&tool).unwrap();
    let seen = lab.ok(&[
        "run",
        "a",
        "--",
        "sh",
        "-c",
        "stat -c '%a %Y %h' tool.sh; test tool.sh -ef same.sh && echo same",
    ]);
    assert_eq!(seen, format!("750 {} 2\nsame\n", wanted.mtime()));
}

#[test]
fn ignored_files_stay_out() {
    let lab = Lab::new();
    lab.write(".atelierignore", "*.log\n/cache/\n!keep.log\n");
    for file in ["a.log", "keep.log", "cache/x", "src/cache/y"] {
        lab.write(file, "x");
    }
    let seen = lab.ok(&[
        "run",
        "a",
        "--",
        "sh",
        "-c",
        "ls *.log; ls -d cache src/cache 2>/dev/null; true",
    ]);
    assert_eq!(seen, "keep.log\nsrc/cache\n");
}
