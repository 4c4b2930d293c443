//! `atelier template build|ls|show|rm|commit`: prepared beginnings of sandboxes.

use crate::support::{Lab, Traces, wait_until};

fn build(lab: &Lab, args: &[&str]) -> serde_json::Value {
    lab.json(&[&["template", "build", "t", "--image", "box"], args].concat())
}

#[test]
fn setup_runs_once_and_sandboxes_start_from_there() {
    let lab = Lab::with_image();
    let before = Traces::of(&lab.home());
    let setup = ["--setup", "echo one > /srv/file", "--setup", "echo two >> /srv/file; echo said"];
    let built = build(&lab, &setup);
    assert_eq!(built["rebuilt"], true);
    assert!(built["log"].as_str().unwrap().contains("said"), "{built}");
    before.wait_until_nothing_more(&lab.home());
    let (one, two) = (lab.sandbox(&["t"]), lab.sandbox(&["--template", "t"]));
    lab.sh(&one, "echo three >> /srv/file");
    assert_eq!(lab.sh(&two, "cat /srv/file"), "one\ntwo\n");
    assert_eq!(lab.show(&one)["template"], "t");
    assert_eq!(lab.json(&["template", "ls"])[0]["name"], "t");
}

#[test]
fn it_is_built_again_when_something_changed_and_only_then() {
    let lab = Lab::with_image();
    let rebuilt = |args: &[&str]| build(&lab, args)["rebuilt"] == true;
    assert!(rebuilt(&["--setup", "true"]));
    assert!(!rebuilt(&["--setup", "true"]));
    assert!(rebuilt(&["--setup", "true", "--force"]));
    assert!(rebuilt(&["--setup", "echo other"]));
    assert!(rebuilt(&["--setup", "echo other", "-e", "COLOUR=green"]));
    // Another image of the same name.
    let root = lab.image_root();
    std::fs::write(root.join("srv/new"), "new").unwrap();
    lab.ok(&["image", "import", root.to_str().unwrap(), "box"]);
    assert!(rebuilt(&["--setup", "echo other", "-e", "COLOUR=green"]));
    assert_eq!(lab.sh(&lab.sandbox(&["t"]), "cat /srv/new; echo $COLOUR"), "newgreen\n");
}

#[test]
fn a_repository_is_put_into_the_workdir_and_its_changes_count() {
    let lab = Lab::with_image();
    let rebuilt = || {
        let args =
            ["--repository", ".", "--workdir", "/srv/app", "--setup", "cp README.md /srv/seen"];
        build(&lab, &args)["rebuilt"] == true
    };
    assert!(rebuilt());
    assert!(!rebuilt());
    lab.write("README.md", "# changed\n");
    assert!(rebuilt());
    let id = lab.sandbox(&["t"]);
    assert_eq!(
        lab.sh(&id, "pwd; cat README.md src/app.txt /srv/seen"),
        "/srv/app\n# changed\none\ntwo\nthree\n# changed\n"
    );
}

#[test]
fn a_setup_that_fails_leaves_the_older_template_as_it_was() {
    let lab = Lab::with_image();
    build(&lab, &["--setup", "echo good > /srv/file"]);
    let before = Traces::of(&lab.home());
    let bad = ["template", "build", "t", "--image", "box", "--setup", "echo oh no; exit 9"];
    lab.run(&bad).fails(1, &["exit 9", "oh no"]);
    assert_eq!(lab.sh(&lab.sandbox(&["t"]), "cat /srv/file"), "good\n");
    lab.ok(&["sandbox", "rm", "--all", "--yes"]);
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn a_server_of_the_template_runs_in_each_sandbox_when_it_is_ready() {
    let lab = Lab::with_image();
    build(
        &lab,
        &[
            "--setup",
            "mkdir -p /srv/www; echo page > /srv/www/index.html",
            "--start",
            "httpd -f -p 8000 -h /srv/www",
            "--ready",
            "wget -qO- http://127.0.0.1:8000/",
        ],
    );
    let id = lab.sandbox(&["t", "--public"]);
    assert_eq!(lab.get_port(&id, 8000, &[]).body, "page\n");
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    wait_until("it serves again", || lab.get_port(&id, 8000, &[]).body == "page\n");
}

#[test]
fn a_template_goes_and_its_sandboxes_stay() {
    let lab = Lab::with_image();
    build(&lab, &["--setup", "echo kept > /srv/kept"]);
    let id = lab.sandbox(&["t"]);
    lab.ok(&["template", "rm", "--yes", "t"]);
    lab.run(&["template", "rm", "--yes", "t"]).fails(3, &["t"]);
    lab.run(&["sandbox", "create", "--template", "t"]).fails(3, &["t"]);
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "cat /srv/kept"), "kept\n");
}

#[test]
fn a_sandbox_can_be_frozen_as_a_template() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "echo by hand > /srv/file");
    lab.ok(&["template", "commit", "mine", &id]);
    assert_eq!(lab.sh(&lab.sandbox(&["mine"]), "cat /srv/file"), "by hand\n");
    assert_eq!(lab.state(&id), "running");
}
