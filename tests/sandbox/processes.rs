//! Snapshots, restores and forks of containers with their processes, by CRIU.

use std::time::{Duration, Instant};

use crate::support::Lab;

/// A shell that counts into a file that it holds open, and answers on a pipe and on a port.
const COUNTER: &str = "mkfifo /srv/ask; \
    exec 3>>/srv/count 4<>/srv/ask; \
    i=0; while :; do i=$((i+1)); echo $i >&3; sleep 0.05; done";

/// A lab whose control plane has a CRIU that works.
fn lab() -> Lab {
    let criu = std::env::var("ATELIER_TEST_CRIU")
        .expect("ATELIER_TEST_CRIU must name a CRIU that works: scripts/test fetches it");
    let mut lab = Lab::new();
    lab.set("ATELIER_CRIU", &criu);
    lab.import_box();
    let all = lab.json(&["runtime", "ls"]);
    let oci = all.as_array().unwrap().iter().find(|one| one["name"] == "oci").unwrap();
    assert_eq!(oci["memory_snapshots"], true, "{oci}");
    lab
}

fn counting(lab: &Lab) -> String {
    let id = lab.sandbox(&[]);
    lab.ok(&["sandbox", "exec", "--detach", &id, "--", "sh", "-c", COUNTER]);
    goes_on(lab, &id);
    id
}

fn count(lab: &Lab, id: &str) -> u64 {
    lab.sh(id, "tail -n 1 /srv/count 2>/dev/null || echo 0").trim().parse().unwrap_or(0)
}

/// Waits until it has counted on, and gives what it has come to.
fn goes_on(lab: &Lab, id: &str) -> u64 {
    let (first, until) = (count(lab, id), Instant::now() + Duration::from_secs(20));
    loop {
        let now = count(lab, id);
        if now > first {
            return now;
        }
        assert!(Instant::now() < until, "{id} stands at {now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_counter_goes_on_in_the_original_and_in_every_copy() {
    let lab = lab();
    let id = counting(&lab);
    let taken = lab.json(&["sandbox", "snapshot", &id, "warm", "--memory"]);
    assert_eq!(taken["memory"], true, "{taken}");
    let at = goes_on(&lab, &id);
    let copies: Vec<String> = (0..2).map(|_| lab.sandbox(&["warm"])).collect();
    for copy in &copies {
        // Each number once: nobody began again, and nothing was lost.
        assert!(goes_on(&lab, copy) > 1);
        lab.sh(copy, "awk 'NR != $1 { exit 1 }' /srv/count");
        assert_ne!(lab.sh(copy, "hostname"), lab.sh(&id, "hostname"));
    }
    assert!(goes_on(&lab, &id) > at);
    // A copy is a sandbox like any other: it can be saved too.
    lab.ok(&["sandbox", "snapshot", &copies[0], "again", "--memory"]);
    goes_on(&lab, &lab.sandbox(&["again"]));
}

#[test]
fn a_restore_takes_processes_back_and_forks_have_them() {
    let lab = lab();
    let id = counting(&lab);
    lab.ok(&["sandbox", "snapshot", &id, "then", "--memory"]);
    lab.sh(
        &id,
        "pkill -f 'sleep 0.05' ; kill $(pgrep -f 'exec 3>>' | head -n 1); echo gone >/srv/gone",
    );
    lab.ok(&["sandbox", "restore", "--yes", &id, "then"]);
    goes_on(&lab, &id);
    assert_eq!(lab.sh(&id, "test -e /srv/gone || echo no").trim(), "no");
    let forks = lab.json(&["sandbox", "fork", &id, "--count", "3"]);
    for fork in forks.as_array().unwrap() {
        goes_on(&lab, fork["id"].as_str().unwrap());
    }
}

#[test]
fn a_paused_sandbox_is_saved_and_stays_paused() {
    let lab = lab();
    let id = counting(&lab);
    lab.ok(&["sandbox", "pause", &id]);
    lab.ok(&["sandbox", "snapshot", &id, "asleep", "--memory"]);
    assert_eq!(lab.state(&id), "paused");
    goes_on(&lab, &lab.sandbox(&["asleep"]));
    lab.ok(&["sandbox", "resume", &id]);
    goes_on(&lab, &id);
}

#[test]
fn a_command_that_is_followed_is_found_again_with_all_of_its_output() {
    let lab = lab();
    let id = lab.sandbox(&[]);
    lab.follows_through_a_snapshot(&id);
}
