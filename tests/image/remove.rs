//! `atelier image ls`, `rm`, `prune`.

use crate::support::Lab;

#[test]
fn an_image_in_use_stays_and_one_that_is_not_goes() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.run(&["image", "rm", "--yes", "box"]).fails(4, &["in use", "hint:"]);
    lab.ok(&["image", "prune", "--all", "--yes"]);
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "echo works"), "works\n");
    lab.ok(&["sandbox", "rm", "--yes", &id]);
    assert!(lab.ok(&["image", "rm", "--yes", "box"]).contains("removed"));
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
    lab.run(&["image", "rm", "--yes", "box"]).fails(3, &["box"]);
}

#[test]
fn a_second_name_is_only_a_name() {
    let lab = Lab::with_image();
    let root = lab.image_root();
    lab.ok(&["image", "import", root.to_str().unwrap(), "again:1"]);
    let images = lab.json(&["image", "ls"]);
    let names: usize =
        images.as_array().unwrap().iter().map(|i| i["names"].as_array().unwrap().len()).sum();
    assert_eq!(names, 2, "{images}");
    lab.ok(&["image", "rm", "--yes", "again:1"]);
    assert_eq!(lab.run(&["sandbox", "run", "box", "--", "echo", "works"]).stdout, "works\n");
}

#[test]
fn pruning_takes_what_has_no_name_and_all_only_when_asked() {
    let lab = Lab::with_image();
    // Another image of that name takes it away from the first.
    let root = lab.image_root();
    std::fs::write(root.join("srv/new"), "new").unwrap();
    lab.ok(&["image", "import", root.to_str().unwrap(), "box"]);
    assert_eq!(lab.json(&["image", "ls"]).as_array().unwrap().len(), 2);
    lab.ok(&["image", "prune", "--yes"]);
    assert_eq!(lab.json(&["image", "ls"]).as_array().unwrap().len(), 1);
    assert_eq!(lab.run(&["sandbox", "run", "box", "--", "cat", "/srv/new"]).stdout, "new");
    let freed = lab.json(&["image", "prune", "--all", "--yes"]);
    assert!(freed["freed_bytes"].as_u64().unwrap() > 1_000_000, "{freed}");
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}
