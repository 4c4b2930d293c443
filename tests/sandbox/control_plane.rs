//! Sandboxes and the control plane's own life: it may stop and be killed, and they go on.

use std::process::Child;
use std::time::Duration;

use crate::support::{Dice, Lab, Traces, serving, wait_until};

fn kill(pid: i32) {
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

#[test]
fn running_and_paused_sandboxes_are_found_again() {
    let lab = Lab::with_image();
    let (runs, sleeps) = (lab.sandbox(&["--name", "runs"]), lab.sandbox(&["--name", "sleeps"]));
    for id in [&runs, &sleeps] {
        lab.detach(id, "echo begun > /srv/begun; exec sleep 1000");
        wait_until("it runs", || lab.try_sh(id, "cat /srv/begun").code == 0);
    }
    lab.ok(&["sandbox", "pause", "sleeps"]);
    let first = serving(&lab).unwrap();
    kill(first);
    wait_until("it is gone", || serving(&lab) != Some(first));
    assert_eq!((lab.state("runs").as_str(), lab.state("sleeps").as_str()), ("running", "paused"));
    lab.ok(&["stop"]);
    assert_eq!((lab.state("runs").as_str(), lab.state("sleeps").as_str()), ("running", "paused"));
    lab.ok(&["sandbox", "resume", "sleeps"]);
    for id in [&runs, &sleeps] {
        assert!(lab.sh(id, "ps").contains("sleep 1000"), "{id}");
    }
}

#[test]
fn tokens_and_addresses_are_the_same_after_a_restart() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let before = lab.show(&id);
    lab.ok(&["stop"]);
    let after = lab.show(&id);
    for name in ["access_token", "traffic_token", "id", "created_at", "host"] {
        assert_eq!(before[name], after[name], "{name}");
    }
}

#[test]
fn a_command_that_runs_while_the_control_plane_is_replaced_ends_as_it_should() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let script = "for n in $(seq 1 40); do echo line $n; sleep 0.05; done; exit 8";
    let client = lab.spawn(&["sandbox", "exec", &id, "--", "sh", "-c", script]);
    wait_until("it runs", || lab.json(&["sandbox", "ps", &id])[0]["pid"].is_u64());
    kill(serving(&lab).unwrap());
    let output = client.wait_with_output().unwrap();
    let wanted: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{output:?}");
    assert_eq!(output.status.code(), Some(8), "{output:?}");
}

/// Kills the control plane a few milliseconds into creates and removes, twenty times.
#[test]
fn chaos_in_the_middle_of_creates_leaves_nothing_half_made() {
    let lab = Lab::with_image();
    lab.ok(&["sandbox", "run", "box", "--", "true"]);
    let before = Traces::of(&lab.home());
    let mut dice = Dice::new();
    let mut kills = 0;
    for _ in 0..20 {
        let act = |n: usize, dice: &mut Dice| match (n, dice.below(4)) {
            (0, 0) => lab.spawn(&["sandbox", "rm", "--all", "--yes"]),
            (1, 0) => lab.spawn(&["sandbox", "run", "box", "--", "true"]),
            _ => lab.spawn(&["sandbox", "create", "box"]),
        };
        let changes: Vec<Child> = (0..4).map(|n| act(n, &mut dice)).collect();
        std::thread::sleep(Duration::from_millis(dice.below(150)));
        if let Some(pid) = serving(&lab) {
            kill(pid);
            kills += 1;
        }
        for mut change in changes {
            wait_until("a change ends", || change.try_wait().unwrap().is_some());
        }
    }
    assert!(kills > 10, "only {kills} kills");
    // Whole: a command runs in each that there is.
    let ids = lab.ok(&["sandbox", "ls", "-q"]);
    for id in ids.lines() {
        assert_eq!(lab.state(id), "running", "{id}");
        assert_eq!(lab.sh(id, "cat /etc/group | wc -l"), "2\n", "{id}");
    }
    lab.ok(&["sandbox", "rm", "--all", "--yes"]);
    before.wait_until_nothing_more(&lab.home());
    let checks = lab.json(&["doctor"]);
    let leftovers = checks.as_array().unwrap().iter().find(|c| c["name"] == "leftovers").unwrap();
    assert_eq!(leftovers["verdict"], "ok", "{leftovers}");
}
