//! What can be wrong with a far host is told apart, by code and in words.

use std::fs;
use std::process::Command;

use super::Pair;
use crate::support::{FarHost, Lab};

/// The exit code and problem of `env ls` on it.
fn fails(lab: &Lab, host: &str) -> (i32, String, String) {
    let done = lab.run(&["--on", host, "env", "ls", "--json"]);
    let problem: serde_json::Value = serde_json::from_str(&done.stderr)
        .unwrap_or_else(|_| panic!("{} {}", done.stdout, done.stderr));
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    (done.code, text("code"), text("detail"))
}

#[test]
fn a_host_that_nobody_named_is_not_found() {
    let lab = Lab::new();
    let (code, name, detail) = fails(&lab, "nowhere");
    assert_eq!((code, name.as_str()), (3, "far.unknown"), "{detail}");
    assert_eq!(lab.run(&["--on", "nowhere", "version"]).code, 2);
    assert_eq!(lab.run(&["host", "add", "x", "-oProxyCommand=touch /tmp/x"]).code, 2);
}

#[test]
fn a_key_is_never_taken_unseen() {
    let lab = Lab::new();
    let far = FarHost::new();
    far.add_to(&lab);
    let (code, name, detail) = fails(&lab, "far");
    assert_eq!((code, name.as_str()), (10, "far.key_unknown"), "{detail}");
    assert!(!far.known_hosts().exists(), "nothing was written down");
    // Somebody else answers under its address.
    let stranger = fs::read_to_string(far.key().with_file_name("stranger.pub")).unwrap();
    let stranger: Vec<_> = stranger.split_whitespace().collect();
    let line = format!("{} {} {}\n", far.address, stranger[0], stranger[1]);
    fs::write(far.known_hosts(), line).unwrap();
    let (code, name, detail) = fails(&lab, "far");
    assert_eq!((code, name.as_str()), (10, "far.key_changed"), "{detail}");
    assert!(!far.home().join("bin").exists(), "nothing was sent");
}

#[test]
fn a_docker_context_is_a_host() {
    let lab = Lab::new();
    let far = FarHost::new();
    let meta = lab.user_home().join(".docker/contexts/meta/0a");
    fs::create_dir_all(&meta).unwrap();
    let host = format!("ssh://root@{}", far.address);
    let text = format!(r#"{{"Name":"lab","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
    fs::write(meta.join("meta.json"), text).unwrap();
    assert!(lab.ok(&["host", "ls"]).contains(&format!("lab   root@{}", far.address)));
    // It goes there, and no further: nobody has compared its key.
    assert_eq!(fails(&lab, "lab").1, "far.key_unknown");
    // Its engine alone is not used from here.
    lab.write("compose.yaml", "services:\n  api:\n    image: none:1\n");
    lab.ok(&["env", "create", "e1"]);
    lab.ok(&["stop"]);
    let up = lab.command(&["env", "up", "e1", "--json"]).env("DOCKER_CONTEXT", "lab").output();
    let up = up.unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&up.stderr).unwrap();
    assert_eq!((up.status.code(), &problem["code"]), (Some(8), &"engine.elsewhere".into()));
}

#[test]
fn a_host_that_lets_nobody_in_says_so() {
    let lab = Lab::new();
    let far = FarHost::new();
    far.trust();
    far.add_to(&lab);
    let stranger = far.key().with_file_name("stranger").display().to_string();
    let known = format!("UserKnownHostsFile={}", far.known_hosts().display());
    let at = format!("root@{}", far.address);
    let add = ["host", "add", "far", &at, "--identity", &stranger, "-o", &known];
    assert_eq!(lab.run(&add).code, 4, "a name is not taken over");
    lab.ok(&[&add[..], &["--force"]].concat());
    let (code, name, detail) = fails(&lab, "far");
    assert_eq!((code, name.as_str()), (10, "far.refused"), "{detail}");
    lab.ok(&["host", "add", "shut", &at, "--port", "23", "-o", &known]);
    let (code, name, detail) = fails(&lab, "shut");
    assert_eq!((code, name.as_str()), (6, "far.unreachable"), "{detail}");
    let check = lab.run(&["host", "check", "shut"]);
    assert_eq!(check.code, 8, "{}", check.stdout);
    assert!(check.stdout.starts_with("failed   ssh: "), "{}", check.stdout);
}

#[test]
fn a_full_disk_there_is_named() {
    let pair = Pair::new();
    let small = pair.far.user_home().join("small");
    fs::create_dir(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "none"];
    assert!(Command::new("mount").args(mount).arg(&small).status().unwrap().success());
    let known = format!("UserKnownHostsFile={}", pair.far.known_hosts().display());
    let (at, key) = (format!("root@{}", pair.far.address), pair.far.key().display().to_string());
    let home = small.display().to_string();
    pair.lab.ok(&["host", "add", "tiny", &at, "-i", &key, "-o", &known, "--home", &home]);
    let (code, name, detail) = fails(&pair.lab, "tiny");
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    assert_eq!((code, name.as_str()), (1, "far.disk_full"), "{detail}");
}

#[test]
fn what_a_host_has_and_lacks_is_listed() {
    let pair = Pair::new();
    let checks = pair.lab.json(&["host", "check", "far"]);
    let verdict = |name: &str| {
        let found = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {checks}"))["verdict"].clone()
    };
    for name in ["ssh", "machine", "rsync", "git", "atelier"] {
        assert_eq!(verdict(name), "ok", "{checks}");
    }
    let hosts = pair.lab.json(&["host", "ls"]);
    assert_eq!(hosts["far"]["ssh"], format!("root@{}", pair.far.address));
}
