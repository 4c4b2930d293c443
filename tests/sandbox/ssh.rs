//! ssh and scp, as they are on every machine, into a sandbox.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Done, Lab};

/// Makes a key of the lab's user.
fn key(lab: &Lab, folder: &str) -> PathBuf {
    let folder = lab.user_home().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("id_ed25519");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .output()
        .expect("ssh-keygen is missing: apt-get install openssh-client");
    assert!(made.status.success(), "{made:?}");
    key
}

/// Runs ssh or scp; `@` in a word stands for the sandbox's login.
fn client(lab: &Lab, program: &str, key: &std::path::Path, id: &str, words: &[&str]) -> Done {
    let address = lab.addresses().ssh;
    let (host, port) = address.rsplit_once(':').unwrap();
    let known = lab.user_home().join("known_hosts");
    let mut command = Command::new(program);
    command.args(["-F", "/dev/null", if program == "scp" { "-P" } else { "-p" }, port, "-i"]);
    command.arg(key).args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]);
    command.args(["-o", "StrictHostKeyChecking=accept-new", "-o", "ConnectTimeout=20"]);
    command.args([
        "-o",
        &format!("UserKnownHostsFile={}", known.display()),
        "-o",
        "LogLevel=ERROR",
    ]);
    command.args(words.iter().map(|word| word.replace('@', &format!("{id}@{host}"))));
    Done::of(command.current_dir(&lab.project).env("HOME", lab.user_home()).output().unwrap())
}

#[test]
fn the_users_key_opens_a_sandbox() {
    let lab = Lab::with_image();
    let key = key(&lab, ".ssh");
    let id = lab.sandbox(&["-e", "COLOUR=green"]);
    let done = client(&lab, "ssh", &key, &id, &["@", "echo $COLOUR; id -un; echo bad >&2; exit 3"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, "green\nroot\n"), "{done:?}");
    assert!(done.stderr.ends_with("bad\n"), "{done:?}");
    let printed = lab.ok(&["sandbox", "ssh", &id, "--print"]);
    assert!(printed.starts_with("ssh -p ") && printed.contains(&id), "{printed}");
}

#[test]
fn another_key_does_not() {
    let lab = Lab::with_image();
    key(&lab, ".ssh");
    let stranger = key(&lab, "stranger");
    let id = lab.sandbox(&[]);
    let done = client(&lab, "ssh", &stranger, &id, &["@", "echo in"]);
    assert_eq!((done.code, done.stdout.as_str()), (255, ""), "{done:?}");
    assert!(done.stderr.contains("Permission denied"), "{done:?}");
}

#[test]
fn files_and_folders_go_both_ways() {
    let lab = Lab::with_image();
    let key = key(&lab, ".ssh");
    let id = lab.sandbox(&[]);
    lab.write("d/deep/file", "text");
    let scp = |words: &[&str]| {
        let done = client(&lab, "scp", &key, &id, words);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
    };
    scp(&["-r", "d", "@:/srv/"]);
    assert_eq!(lab.sh(&id, "cat /srv/d/deep/file"), "text");
    scp(&["@:/etc/passwd", "passwd"]);
    assert!(lab.read("passwd").starts_with("root:x:0:0"));
    scp(&["-r", "@:/srv/d", "back"]);
    assert_eq!(lab.read("back/deep/file"), "text");
}

#[test]
fn a_login_wakes_a_paused_sandbox_and_an_unknown_one_is_refused() {
    let lab = Lab::with_image();
    let key = key(&lab, ".ssh");
    let id = lab.sandbox(&[]);
    lab.ok(&["sandbox", "pause", &id]);
    assert_eq!(client(&lab, "ssh", &key, &id, &["@", "echo awake"]).stdout, "awake\n");
    let done = client(&lab, "ssh", &key, "0000000000000000", &["@", "echo in"]);
    assert!(done.code != 0 && done.stdout.is_empty(), "{done:?}");
}
