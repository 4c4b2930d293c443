//! `atelier volume`: files that outlive sandboxes and that several have at once.

mod content;
mod faults;

use serde_json::{Value, json};

use crate::support::Lab;

fn shared(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    assert_eq!(lab.ok(&["volume", "create", "cache"]), "cache\n");
    let sandbox = |user: &str| {
        let more = ["--runtime", runtime, "--network", "none", "--user", user];
        lab.sandbox(&[&more[..], &["--volume", "cache:/var/cache/shared"]].concat())
    };
    let (one, two) = (sandbox("root"), sandbox("user"));
    let missing = lab.try_sh(&one, "cat /var/cache/shared/note");
    assert_ne!(missing.code, 0, "it begins empty");
    lab.sh(&one, "cd /var/cache/shared && echo from one > note && mkdir deep && chmod 777 deep");
    lab.sh(&two, "cd /var/cache/shared && cat note && echo from two > deep/note");
    assert_eq!(lab.sh(&one, "cat /var/cache/shared/deep/note"), "from two\n");
    let owners = "stat -c %u:%g /var/cache/shared/note /var/cache/shared/deep/note";
    assert_eq!(lab.sh(&one, owners), "0:0\n1000:1000\n", "owners are the same everywhere");
    assert_eq!(lab.sh(&two, owners), "0:0\n1000:1000\n");
    assert_eq!(
        lab.show(&one)["volumes"],
        json!([{"volume": "cache", "path": "/var/cache/shared"}])
    );

    let refused = lab.run(&["volume", "rm", "--yes", "cache"]);
    refused.fails(4, &["has the volume cache", "remove the sandbox first"]);
    lab.ok(&["sandbox", "stop", &one]);
    lab.ok(&["sandbox", "start", &one]);
    assert_eq!(lab.sh(&one, "cat /var/cache/shared/note"), "from one\n", "there after a restart");
    lab.ok(&["sandbox", "rm", "--yes", &one, &two]);

    let later = sandbox("root");
    assert_eq!(lab.sh(&later, "cat /var/cache/shared/deep/note"), "from two\n", "it outlived them");
    lab.ok(&["sandbox", "rm", "--yes", &later]);
    lab.ok(&["volume", "rm", "--yes", "cache"]);
    assert_eq!(lab.ok(&["volume", "ls", "--quiet"]), "");
    assert_eq!(std::fs::read_dir(lab.home().join("volumes")).unwrap().count(), 0);
}

#[test]
fn sandboxes_of_oci_share_a_volume() {
    shared("oci");
}

#[test]
fn sandboxes_of_gvisor_share_a_volume() {
    shared("gvisor");
}

#[test]
fn copies_of_a_sandbox_have_its_volumes() {
    let lab = Lab::with_runtime("oci");
    lab.ok(&["volume", "create", "data"]);
    let id = lab.sandbox(&["--network", "none", "--volume", "data:/data"]);
    let copies: Value = lab.json(&["sandbox", "fork", &id]);
    let copy = copies[0]["id"].as_str().unwrap();
    lab.sh(copy, "echo by the copy > /data/note");
    assert_eq!(lab.sh(&id, "cat /data/note"), "by the copy\n");
    let shown: Value = lab.json(&["volume", "show", "data"]);
    assert_eq!(shown["sandboxes"].as_array().unwrap().len(), 2);
    // A snapshot holds files of the sandbox; those of a volume are the volume's.
    lab.ok(&["sandbox", "snapshot", &id, "before"]);
    let again = lab.sandbox(&["--snapshot", "before", "--network", "none"]);
    assert_eq!(lab.sh(&again, "ls /data 2>/dev/null || true"), "");
}

#[test]
fn what_cannot_be_is_refused_with_why() {
    let lab = Lab::with_runtime("oci");
    lab.ok(&["volume", "create", "data"]);
    lab.run(&["volume", "create", "data"]).fails(4, &["has the name data already"]);
    lab.run(&["volume", "create", "a b"]).fails(2, &["the name \"a b\" is not valid"]);
    lab.run(&["volume", "rm", "--yes", "other"]).fails(3, &["there is no volume \"other\""]);
    lab.run(&["volume", "show", "other"]).fails(3, &["atelier volume ls"]);
    let create = |runtime: &str, mounts: &[&str]| {
        let mut words = vec!["sandbox", "create", "--runtime", runtime];
        words.extend(mounts.iter().flat_map(|mount| ["--volume", *mount]));
        lab.run(&words)
    };
    create("oci", &["other:/data"]).fails(3, &["there is no volume \"other\""]);
    create("oci", &["data:/proc/x"]).fails(2, &["the system's own files"]);
    create("oci", &["data:/a/../.."]).fails(2, &["can't be used"]);
    create("oci", &["data:/a", "data:/a/b"]).fails(2, &["two volumes"]);
    create("host", &["data:/data"])
        .fails(2, &["the runtime host can't have volumes", "oci or gvisor"]);
    assert_eq!(lab.json(&["sandbox", "ls"]), json!([]));
}
