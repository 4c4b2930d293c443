//! `atelier sandbox fork`: copies that go their own ways.

use crate::support::{Lab, Traces};

#[test]
fn three_copies_begin_alike_and_change_by_themselves() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--name", "dev", "-e", "COLOUR=green"]);
    lab.sh(&id, "echo begun > /srv/file; rm /bin/vi; mkdir /srv/d; ln -s file /srv/link");
    let copies: Vec<String> =
        lab.ok(&["sandbox", "fork", "dev", "--count", "3"]).lines().map(str::to_owned).collect();
    assert_eq!(copies.len(), 3);
    for (n, copy) in copies.iter().enumerate() {
        let seen =
            lab.sh(copy, "cat /srv/link; ls /bin/vi 2>/dev/null; ls -d /srv/d; echo $COLOUR");
        assert_eq!(seen, "begun\n/srv/d\ngreen\n");
        lab.sh(copy, &format!("echo copy {n} > /srv/file"));
    }
    lab.sh(&id, "echo the first > /srv/file");
    for (n, copy) in copies.iter().enumerate() {
        assert_eq!(lab.sh(copy, "cat /srv/file"), format!("copy {n}\n"));
    }
    assert_eq!(lab.sh(&id, "cat /srv/file"), "the first\n");
}

#[test]
fn a_copy_outlives_its_origin_and_all_go_without_a_trace() {
    let lab = Lab::with_image();
    let before = Traces::of(&lab.home());
    let images = lab.json(&["image", "ls"]).as_array().unwrap().len();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "echo kept > /srv/kept");
    let copy = lab.ok(&["sandbox", "fork", &id]).trim().to_owned();
    let copy_of_copy = lab.ok(&["sandbox", "fork", &copy]).trim().to_owned();
    lab.ok(&["sandbox", "rm", "--yes", &id, &copy]);
    assert_eq!(lab.sh(&copy_of_copy, "cat /srv/kept"), "kept\n");
    lab.ok(&["sandbox", "stop", &copy_of_copy]);
    lab.ok(&["sandbox", "start", &copy_of_copy]);
    assert_eq!(lab.sh(&copy_of_copy, "cat /srv/kept"), "kept\n");
    lab.ok(&["sandbox", "rm", "--yes", &copy_of_copy]);
    before.wait_until_nothing_more(&lab.home());
    assert_eq!(lab.json(&["image", "ls"]).as_array().unwrap().len(), images);
}

#[test]
fn too_many_copies_or_none_are_refused() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.run(&["sandbox", "fork", &id, "-n", "0"]).fails(2, &[]);
    lab.run(&["sandbox", "fork", &id, "-n", "1000"]).fails(2, &["1000", "hint:"]);
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 1);
}
