//! A full disk, a read-only home, a damaged database.

use std::process::Command;

use crate::support::{Done, Lab};

/// Runs a script in a mount namespace of its own, with the lab's binary as `$A`.
fn in_mounts_of_its_own(lab: &Lab, script: &str) -> Done {
    let template = lab.command(&[""; 0]);
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-euc", script]);
    shell.env_clear().current_dir(&lab.project);
    for (key, value) in template.get_envs() {
        shell.env(key, value.unwrap());
    }
    shell.env("A", template.get_program());
    Done::of(shell.output().unwrap())
}

#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let lab = Lab::new();
    lab.write("big.bin", vec![7u8; 24 << 20]);
    let done = in_mounts_of_its_own(
        &lab,
        "mkdir -p $ATELIER_HOME; mount -t tmpfs -o size=20m,mode=700 tmpfs $ATELIER_HOME
         $A env create a 2>&1 && exit 1
         echo \"code $?\"
         test -z \"$($A env ls -q)\"
         find $ATELIER_HOME/envs $ATELIER_HOME/sandboxes $ATELIER_HOME/bases -name '*big*' | head -3
         rm big.bin; $A env create b && $A env ls -q; $A env rm --yes b; $A stop",
    );
    assert!(done.stdout.contains("is full"), "{done:?}");
    assert!(done.stdout.contains("hint:") && done.stdout.contains("code 1"), "{done:?}");
    assert!(done.stdout.contains("\nb\n"), "{done:?}");
    assert!(!done.stdout.contains("big.bin\n"), "{done:?}");
}

#[test]
fn a_read_only_home_is_said_to_be_one() {
    let lab = Lab::new();
    let done = in_mounts_of_its_own(
        &lab,
        "mkdir -p $ATELIER_HOME; mount -t tmpfs -o ro tmpfs $ATELIER_HOME; $A run a -- true",
    );
    done.fails(8, &["ead-only", "hint:", "ATELIER_HOME"]);
}

#[test]
fn a_damaged_database_loses_no_sandbox() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--name", "box"]);
    let gone = lab.sandbox(&[]);
    lab.sh(&id, "echo kept > /srv/kept");
    lab.ok(&["sandbox", "rm", "--yes", &gone]);
    lab.ok(&["stop"]);
    damage_database(&lab);
    lab.ok(&["doctor", "--fix", "--yes"]);
    let left = lab.json(&["sandbox", "ls"]);
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left[0]["name"], "box");
    if lab.state(&id) == "stopped" {
        lab.ok(&["sandbox", "start", "box"]);
    }
    assert_eq!(lab.sh("box", "cat /srv/kept"), "kept\n");
    lab.ok(&["sandbox", "rm", "--yes", "box"]);
    assert_eq!(lab.json(&["sandbox", "ls"]), serde_json::json!([]));
}

#[test]
fn a_damaged_database_is_mended_and_no_environment_is_lost() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo kept > kept.txt"]);
    lab.ok(&["env", "create", "b"]);
    lab.ok(&["stop"]);
    damage_database(&lab);
    lab.run(&["env", "ls"]).fails(1, &["damaged", "doctor --fix"]);
    lab.run(&["doctor"]).fails(8, &[]);
    let done = lab.run(&["doctor", "--fix", "--yes"]);
    assert!(done.stdout.contains("2 environments were read back"), "{done:?}");
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "kept.txt"]), "kept\n");
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 2);
}

fn damage_database(lab: &Lab) {
    std::fs::write(lab.home().join("state.db"), "no database at all".repeat(500)).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(lab.home().join(format!("state.db{suffix}")));
    }
}
