//! Volumes and control planes that are killed, databases that are lost.

use std::fs;

use serde_json::Value;

use crate::support::{Lab, kill_control_plane};

/// A volume's folder.
fn place(lab: &Lab, name: &str) -> std::path::PathBuf {
    let shown: Value = lab.json(&["volume", "show", name]);
    lab.home().join("volumes").join(dashed(shown["id"].as_str().unwrap()))
}

/// An id as folders have it.
fn dashed(id: &str) -> String {
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

#[test]
fn a_kill_leaves_volumes_whole_or_not_at_all() {
    let lab = Lab::with_runtime("oci");
    for name in ["kept", "half-made", "half-removed"] {
        lab.ok(&["volume", "create", name]);
    }
    fs::write(place(&lab, "kept").join("data/file"), "kept").unwrap();
    let (made, removed) = (place(&lab, "half-made"), place(&lab, "half-removed"));
    kill_control_plane(&lab);
    // As a kill leaves them: the record is written last and taken away first.
    fs::remove_dir_all(&made).unwrap();
    fs::create_dir(&made).unwrap();
    fs::remove_file(removed.join("volume.json")).unwrap();
    let stray = lab.home().join("volumes").join(dashed(&"5a".repeat(16)));
    fs::create_dir_all(stray.join("data")).unwrap();
    assert_eq!(lab.ok(&["volume", "ls", "--quiet"]), "kept\n");
    assert_eq!(fs::read_dir(lab.home().join("volumes")).unwrap().count(), 1);
    let id = lab.sandbox(&["--network", "none", "--volume", "kept:/data"]);
    assert_eq!(lab.sh(&id, "cat /data/file"), "kept");
    kill_control_plane(&lab);
    assert_eq!(lab.sh(&id, "cat /data/file"), "kept", "a sandbox goes on with its volumes");
    lab.run(&["volume", "rm", "--yes", "kept"]).fails(4, &["has the volume kept"]);
}

#[test]
fn a_lost_database_loses_no_volume() {
    let lab = Lab::with_runtime("oci");
    lab.ok(&["volume", "create", "data"]);
    let id = lab.sandbox(&["--network", "none", "--volume", "data:/data"]);
    lab.sh(&id, "echo kept > /data/file");
    kill_control_plane(&lab);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(lab.home().join(file));
    }
    assert_eq!(lab.ok(&["volume", "ls", "--quiet"]), "data\n");
    // Who ran when the database was lost is ended, and starts with its volume.
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "cat /data/file"), "kept\n");
    lab.run(&["volume", "rm", "--yes", "data"]).fails(4, &["has the volume data"]);
}
