//! The control plane is killed again and again while environments are made, used and removed.
//! Afterwards each is whole or gone, and nothing of it is left on the machine.

use std::process::Child;
use std::time::Duration;

use crate::support::{Dice, Lab, Traces, serving, wait_until};

/// What 200 changes do, four at a time.
fn act(lab: &Lab, dice: &mut Dice) -> Child {
    let env = format!("e{}", dice.below(12));
    match dice.below(4) {
        0 => lab.spawn(&["env", "create", &env]),
        1 => lab.spawn(&["env", "rm", "--yes", "--force", &env]),
        2 => lab.spawn(&["run", "--rm", "--", "sh", "-c", "echo x > /etc/x; sleep 0.02"]),
        _ => lab.spawn(&["run", &env, "--", "sh", "-c", "cat src/app.txt; echo y >> src/app.txt"]),
    }
}

#[test]
fn killed_at_random_moments_everything_is_whole_or_gone() {
    let lab = Lab::new();
    lab.ok(&["run", "first", "--", "true"]);
    lab.ok(&["env", "rm", "--yes", "first"]);
    let before = Traces::of(&lab.home());
    let mut dice = Dice::new();
    let mut kills = 0;
    for _ in 0..50 {
        let changes: Vec<Child> = (0..4).map(|_| act(&lab, &mut dice)).collect();
        if dice.below(2) == 0 {
            std::thread::sleep(Duration::from_millis(dice.below(60)));
            if let Some(pid) = serving(&lab) {
                // SAFETY: a signal to a process that this test started.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                kills += 1;
            }
        }
        for mut change in changes {
            wait_until("a change ends", || change.try_wait().unwrap().is_some());
        }
    }
    assert!(kills > 5, "only {kills} kills");
    // Whole: a command runs in each, and sees the project.
    let list = lab.json(&["env", "ls"]);
    for env in list.as_array().unwrap() {
        let name = env["name"].as_str().unwrap();
        let seen = lab.ok(&["run", name, "--", "head", "-1", "src/app.txt"]);
        assert_eq!(seen, "one\n", "{name}");
    }
    for env in list.as_array().unwrap() {
        lab.ok(&["env", "rm", "--yes", "--force", env["name"].as_str().unwrap()]);
    }
    before.wait_until_nothing_more(&lab.home());
    let checks = lab.json(&["doctor"]);
    let leftovers = checks.as_array().unwrap().iter().find(|c| c["name"] == "leftovers").unwrap();
    assert_eq!(leftovers["verdict"], "ok", "{leftovers}");
}

#[test]
fn a_killed_sandbox_is_noticed_and_started_again() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo kept > kept.txt"]);
    let id = lab.json(&["env", "show", "a"])["id"].as_str().unwrap().to_owned();
    let file = lab.home().join("sandboxes").join(id).join("pid");
    let instance: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let pid = instance["init"]["pid"].as_i64().unwrap();
    // SAFETY: a signal to a process that this test's control plane started.
    assert_eq!(unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) }, 0);
    wait_until("it is noticed", || lab.json(&["env", "show", "a"])["state"] == "stopped");
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "kept.txt"]), "kept\n");
}
