//! `snapshot` and `restore`: a sandbox as it was.

use crate::support::Lab;

#[test]
fn a_sandbox_goes_back_to_its_snapshot() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "echo first > /srv/file; rm /bin/vi");
    assert_eq!(lab.ok(&["sandbox", "snapshot", &id, "before"]), "before\n");
    lab.sh(&id, "echo second > /srv/file; touch /srv/more; ln -s busybox /bin/vi");
    lab.ok(&["sandbox", "restore", "--yes", &id, "before"]);
    let seen = lab.sh(&id, "cat /srv/file; ls /srv; ls /bin/vi 2>/dev/null || echo no vi");
    assert_eq!(seen, "first\nfile\nno vi\n");
    // And once more: the snapshot is as it was.
    lab.sh(&id, "echo third > /srv/file");
    lab.ok(&["sandbox", "restore", "--yes", &id, "before"]);
    assert_eq!(lab.sh(&id, "cat /srv/file"), "first\n");
}

#[test]
fn taking_one_disturbs_nothing_that_runs() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.detach(&id, "exec sleep 1000");
    lab.ok(&["sandbox", "snapshot", &id, "s"]);
    assert!(lab.sh(&id, "ps").contains("sleep 1000"));
    assert_eq!(lab.state(&id), "running");
}

#[test]
fn others_start_from_a_snapshot_also_when_its_sandbox_is_gone() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["-e", "COLOUR=green"]);
    lab.sh(&id, "echo kept > /srv/kept");
    lab.ok(&["sandbox", "snapshot", &id, "base"]);
    lab.ok(&["sandbox", "rm", "--yes", &id]);
    let by_name = lab.sandbox(&["base"]);
    let by_option = lab.sandbox(&["--snapshot", "base"]);
    for id in [&by_name, &by_option] {
        assert_eq!(lab.sh(id, "cat /srv/kept; echo $COLOUR"), "kept\ngreen\n");
    }
    lab.ok(&["snapshot", "rm", "--yes", "base"]);
    assert_eq!(lab.sh(&by_name, "cat /srv/kept"), "kept\n");
    lab.ok(&["sandbox", "stop", &by_name]);
    lab.ok(&["sandbox", "start", &by_name]);
    assert_eq!(lab.sh(&by_name, "cat /srv/kept"), "kept\n");
    lab.run(&["sandbox", "create", "--snapshot", "base"]).fails(3, &["base"]);
}

#[test]
fn snapshots_are_listed_and_a_name_goes_to_the_newest() {
    let lab = Lab::with_image();
    let (one, two) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.ok(&["sandbox", "snapshot", &one, "s"]);
    lab.sh(&two, "echo newer > /srv/file");
    lab.ok(&["sandbox", "snapshot", &two, "s"]);
    let all = lab.json(&["snapshot", "ls"]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!((&all[0]["name"], &all[0]["sandbox"]), (&"s".into(), &two.as_str().into()));
    assert!(all[1]["name"].is_null(), "{all}");
    let of_one = lab.json(&["snapshot", "ls", "--sandbox", &one]);
    assert_eq!(of_one.as_array().unwrap().len(), 1);
    assert_eq!(lab.sh(&lab.sandbox(&["s"]), "cat /srv/file"), "newer\n");
}

#[test]
fn memory_is_not_promised_where_it_cannot_be_kept() {
    let mut lab = Lab::with_image();
    lab.set("ATELIER_CRIU", "/nowhere/criu");
    let id = lab.sandbox(&[]);
    lab.run(&["sandbox", "snapshot", &id, "--memory"]).fails(8, &["memory", "CRIU", "hint:"]);
    let taken = lab.json(&["sandbox", "snapshot", &id, "--files-only"]);
    assert_eq!(taken["memory"], false);
    let host = lab.ok(&["sandbox", "create", "--runtime", "host"]).trim().to_owned();
    let done = lab.run(&["sandbox", "snapshot", &host]);
    assert!(done.code != 0 && done.stderr.contains("hint:"), "{done:?}");
    assert_eq!(lab.state(&host), "running");
}

#[test]
fn what_is_not_there_is_said_and_nothing_is_lost() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "echo kept > /srv/kept");
    lab.run(&["sandbox", "restore", "--yes", &id, "nothing"]).fails(3, &["nothing", "hint:"]);
    assert_eq!(lab.sh(&id, "cat /srv/kept"), "kept\n");
    lab.run(&["snapshot", "rm", "--yes", "nothing"]).fails(3, &["nothing"]);
    lab.run(&["sandbox", "snapshot", &id, "No Good/"]).fails(2, &["No Good/"]);
}
