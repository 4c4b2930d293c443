//! `dns setup` and `dns remove`.

use std::fs;
use std::process::Command;

use super::Tree;
use crate::support::{Done, Lab};

const SERVER: [&str; 4] = ["--server", "127.0.0.1:5354", "--suffix", "test"];
const FILE: &str = "etc/systemd/resolved.conf.d/50-atelier.conf";

fn setup(lab: &Lab, tree: &Tree, more: &[&str]) -> Done {
    let args = [&["setup"], &SERVER[..], more].concat();
    lab.run(&tree.args(&args))
}

#[test]
fn a_dry_run_says_what_it_would_change_and_changes_nothing() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let before = tree.everything();
    let done = setup(&lab, &tree, &["--dry-run"]);
    assert_eq!(done.code, 0, "{done:?}");
    for says in [
        "systemd-resolved will ask 127.0.0.1:5354 for .test\n",
        "write /etc/systemd/resolved.conf.d/50-atelier.conf\n",
        "  + Domains=~test\n",
        "run systemctl reload-or-restart systemd-resolved\n",
    ] {
        assert!(done.stdout.contains(says), "{says:?} is not in: {}", done.stdout);
    }
    assert_eq!(tree.everything(), before);
}

#[test]
fn what_was_set_up_is_taken_back_exactly() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let before = tree.everything();
    assert_eq!(setup(&lab, &tree, &["--yes"]).code, 0);
    assert!(fs::read_to_string(tree.root.join(FILE)).unwrap().contains("DNS=127.0.0.1:5354\n"));
    let again = setup(&lab, &tree, &["--yes"]);
    assert!(again.stdout.contains("everything is in place"), "{again:?}");
    let removed = lab.ok(&tree.args(&["remove", "--yes"]));
    assert!(removed.contains("/etc/systemd/resolved.conf.d/50-atelier.conf is as before"));
    assert_eq!(tree.everything(), before);
    assert_eq!(lab.ok(&tree.args(&["remove", "--yes"])), "nothing is set up\n");
}

#[test]
fn nothing_is_changed_without_a_yes() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let before = tree.everything();
    setup(&lab, &tree, &[]).fails(2, &["--yes"]);
    assert_eq!(tree.everything(), before);
    assert_eq!(setup(&lab, &tree, &["--yes"]).code, 0);
    let hooked = tree.everything();
    lab.run(&tree.args(&["remove"])).fails(2, &["--yes"]);
    assert_eq!(tree.everything(), hooked);
}

#[test]
fn the_server_is_the_control_planes_own() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    lab.ok(&tree.args(&["setup", "--yes"]));
    let status = lab.json(&["status"]);
    let at = status["dns"].as_str().unwrap();
    assert!(at.starts_with("127.0.0.1:") && status["suffix"] == "test", "{status}");
    let text = fs::read_to_string(tree.root.join(FILE)).unwrap();
    assert!(text.contains(&format!("DNS={at}\n")), "{text}");
}

#[test]
fn what_others_changed_is_left_alone_and_said() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    assert_eq!(setup(&lab, &tree, &["--yes"]).code, 0);
    fs::write(tree.root.join(FILE), "theirs\n").unwrap();
    setup(&lab, &tree, &["--yes"]).fails(4, &["changed by somebody else", "50-atelier.conf"]);
    let removed = lab.ok(&tree.args(&["remove", "--yes"]));
    assert!(removed.contains("was changed by somebody else, and stays"), "{removed}");
    assert_eq!(fs::read_to_string(tree.root.join(FILE)).unwrap(), "theirs\n");
}

#[test]
fn a_user_is_told_what_root_is_to_run() {
    let lab = Lab::bare("p");
    // Its own copy: a user may not reach where the binary was built.
    let program = lab.user_home().join("atelier");
    fs::copy(env!("CARGO_BIN_EXE_atelier"), &program).unwrap();
    let mut open = Command::new("chmod");
    open.arg("a+rx").args([lab.user_home().parent().unwrap(), &lab.user_home(), &program]);
    assert!(open.status().unwrap().success());
    let like = lab.command(&["version"]);
    let mut shell = Command::new("setpriv");
    shell.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    shell.args(["dns", "setup", "--way", "macos"]).args(SERVER);
    shell.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = Done::of(shell.current_dir("/").output().unwrap());
    let command = format!("sudo {} dns setup --server 127.0.0.1:5354", program.display());
    done.fails(10, &["only root may change", &command, "--suffix test --way macos"]);
    assert!(done.stdout.contains("write /etc/resolver/test\n"), "{done:?}");
}
