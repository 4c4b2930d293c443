//! `atelier sandbox fs`: a sandbox's files, from outside.

use std::io::{BufRead, BufReader};

use crate::support::{Lab, wait_until};

#[test]
fn files_are_written_listed_read_moved_and_removed() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let fs = |verb: &str, rest: &[&str]| lab.run(&[&["sandbox", "fs", verb, &id], rest].concat());
    let write = lab.with_input(&["sandbox", "fs", "write", &id, "/srv/new/a"], b"hello\0\xff");
    assert_eq!(write.code, 0, "{write:?}");
    assert_eq!(lab.sh(&id, "wc -c < /srv/new/a"), "7\n");
    assert_eq!(fs("ls", &["/srv"]).stdout, "new/\n");
    fs("mkdir", &["/srv/deep/er"]);
    assert_eq!(fs("mv", &["/srv/new/a", "/srv/deep/er/b"]).code, 0);
    let cat = lab.command(&["sandbox", "fs", "cat", &id, "/srv/deep/er/b"]).output().unwrap();
    assert_eq!(cat.stdout, b"hello\0\xff");
    let stat = lab.json(&["sandbox", "fs", "stat", &id, "/srv/deep/er/b"]);
    assert_eq!((stat["size"].to_string().trim_matches('"'), &stat["owner"]), ("7", &"root".into()));
    fs("rm", &["/srv/deep"]).fails(2, &["--recursive"]);
    assert_eq!(fs("rm", &["-r", "/srv/deep", "/srv/new"]).code, 0);
    assert_eq!(fs("ls", &["/srv"]).stdout, "");
}

#[test]
fn relative_paths_begin_at_the_users_home_and_files_are_theirs() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.with_input(&["sandbox", "fs", "write", "-u", "user", &id, "notes/a"], b"mine");
    assert_eq!(
        lab.sh(&id, "stat -c %u:%g /home/user/notes /home/user/notes/a"),
        "1000:1000\n1000:1000\n"
    );
    let cat = ["sandbox", "fs", "cat", "--user", "user", &id, "notes/a"];
    assert_eq!(lab.ok(&cat), "mine");
}

#[test]
fn what_is_not_there_or_of_another_kind_is_said() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let fs = |verb: &str, rest: &[&str]| lab.run(&[&["sandbox", "fs", verb, &id], rest].concat());
    for verb in ["cat", "ls", "stat", "rm", "watch"] {
        fs(verb, &["/nothing"]).fails(3, &["/nothing"]);
    }
    assert_eq!(fs("rm", &["--force", "/nothing"]).code, 0);
    assert_ne!(fs("cat", &["/etc"]).code, 0);
    assert_ne!(fs("ls", &["/etc/passwd"]).code, 0);
    fs("mkdir", &["/etc"]).fails(4, &["/etc"]);
    assert_eq!(fs("mkdir", &["-p", "/etc"]).code, 0);
}

#[test]
fn changes_in_a_folder_are_told_as_they_happen() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "mkdir -p /srv/deep");
    let mut watch = lab.spawn(&["sandbox", "fs", "watch", &id, "/srv", "--recursive", "--json"]);
    let (sender, events) = std::sync::mpsc::channel();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        lines.map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    // It begins at some moment: until then there is nothing to see.
    let mut seen = String::new();
    wait_until("a change is seen", || {
        lab.sh(&id, "echo x >> /srv/deep/file");
        seen.extend(events.try_iter());
        seen.contains("deep/file")
    });
    lab.sh(&id, "rm /srv/deep/file");
    wait_until("the end is seen", || {
        seen.extend(events.try_iter());
        seen.to_lowercase().contains("remove")
    });
    watch.kill().unwrap();
    watch.wait().unwrap();
    reader.join().unwrap();
}
