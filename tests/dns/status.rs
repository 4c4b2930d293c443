//! `dns status`.

use std::fs;

use super::Tree;
use crate::support::Lab;

#[test]
fn the_hook_is_seen_as_it_stands() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let state = || {
        let done = lab.run(&tree.args(&["status", "--json"]));
        assert_eq!(done.code, 8, "{done:?}");
        let status: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(status["resolves"], false);
        status["hook"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "none");
    lab.ok(&tree.args(&["setup", "--yes"]));
    assert_eq!(state(), "set_up");
    let file = tree.root.join("etc/systemd/resolved.conf.d/50-atelier.conf");
    let ours = fs::read(&file).unwrap();
    fs::write(&file, "theirs\n").unwrap();
    assert_eq!(state(), "changed");
    fs::write(&file, ours).unwrap();
    assert_eq!(state(), "set_up");
    let other = ["setup", "--yes", "--server", "127.0.0.1:9", "--suffix", "other"];
    lab.ok(&tree.args(&other));
    assert_eq!(state(), "different");
    lab.ok(&tree.args(&["remove", "--yes"]));
    assert_eq!(state(), "none");
}

#[test]
fn nothing_is_started_to_look() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let done = lab.run(&tree.args(&["status"]));
    assert_eq!(done.code, 8, "{done:?}");
    assert!(done.stdout.contains("the control plane does not run"), "{done:?}");
    assert!(lab.control_plane().is_none());
}

#[test]
fn a_server_that_is_off_can_not_be_asked() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let mut setup = lab.command(&tree.args(&["setup", "--yes"]));
    let done = crate::support::Done::of(setup.env("ATELIER_DNS", "off").output().unwrap());
    done.fails(8, &["the name server does not run", "ATELIER_DNS"]);
    let status = lab.run(&tree.args(&["status"]));
    assert!(status.stdout.starts_with("server    off\n"), "{status:?}");
}
