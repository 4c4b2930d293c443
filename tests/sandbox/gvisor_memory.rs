//! Snapshots of `gvisor` with processes and memory, by a `runsc` that can (`ATELIER_TEST_RUNSC`).

use std::time::Duration;

use crate::support::{Lab, serving, wait_until};

/// Counts through a pipe into a file that stays open, one number a line, and into one that is replaced.
const COUNTER: &str = "exec 3>/srv/open; n=0
    (while true; do n=$((n+1)); echo $n; sleep 0.3; done) | while read n; do
        echo $n >&3; echo $n > /srv/new; mv /srv/new /srv/count
    done";

fn count(lab: &Lab, sandbox: &str) -> u32 {
    lab.sh(sandbox, "cat /srv/count").trim().parse().unwrap()
}

fn counting(lab: &Lab) -> String {
    let id = lab.sandbox(&["--runtime", "gvisor", "--memory", "256MiB"]);
    lab.detach(&id, COUNTER);
    wait_until("it counts", || lab.try_sh(&id, "cat /srv/count").code == 0);
    id
}

/// The very processes that began it count on, with no number left out or twice.
fn counts_on(lab: &Lab, sandbox: &str) {
    let before = count(lab, sandbox);
    wait_until("it counts on", || count(lab, sandbox) > before);
    lab.sh(sandbox, "head -n $(cat /srv/count) /srv/open | awk 'NR != $1 { exit 1 }'");
}

#[test]
fn processes_files_pipes_and_listeners_go_on_over_three_generations() {
    let lab = Lab::with_runsc_that_saves();
    let mut id = counting(&lab);
    lab.web_server(&id, 8000, "still here");
    for generation in ["one", "two", "three"] {
        let taken = lab.json(&["sandbox", "snapshot", &id, generation, "--memory"]);
        assert_eq!(taken["memory"], true);
        let reached = count(&lab, &id);
        counts_on(&lab, &id);
        let next = lab.sandbox(&["--snapshot", generation]);
        assert!(count(&lab, &next) > 0 && reached > 0);
        counts_on(&lab, &next);
        let token = lab.traffic_token(&next);
        let answer = lab.get_port(&next, 8000, &[("e2b-traffic-access-token", &token)]);
        assert_eq!(answer.body, "still here");
        assert_ne!(lab.sh(&next, "hostname"), lab.sh(&id, "hostname"));
        lab.ok(&["sandbox", "rm", "--yes", &id]);
        id = next;
    }
    // Back to where it was: what was counted since is gone.
    let before = count(&lab, &lab.sandbox(&["--snapshot", "one"]));
    lab.sh(&id, "touch /srv/later");
    lab.ok(&["sandbox", "restore", "--yes", &id, "one"]);
    assert!(count(&lab, &id) < before + 200);
    assert_eq!(lab.try_sh(&id, "ls /srv/later").code, 1);
    counts_on(&lab, &id);
    // Stopped and started it is as after any stop: its files, and none of its processes.
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    let last = count(&lab, &id);
    assert_eq!(lab.sh(&id, "ps | grep -c '[s]leep 0.3' || true"), "0\n");
    assert_eq!(count(&lab, &id), last);
}

#[test]
fn copies_made_at_once_go_on_by_themselves() {
    let lab = Lab::with_runsc_that_saves();
    let id = counting(&lab);
    let forks = lab.json(&["sandbox", "fork", &id, "--count", "3"]);
    let forks: Vec<_> =
        forks.as_array().unwrap().iter().map(|fork| fork["id"].as_str().unwrap()).collect();
    assert_eq!(forks.len(), 3);
    for one in forks.iter().copied().chain([id.as_str()]) {
        lab.sh(one, &format!("echo {one} > /srv/mine"));
    }
    for one in forks.iter().copied().chain([id.as_str()]) {
        assert_eq!(lab.sh(one, "cat /srv/mine").trim(), one);
        counts_on(&lab, one);
    }
}

#[test]
fn one_that_is_paused_is_saved_and_stays_paused() {
    let lab = Lab::with_runsc_that_saves();
    let id = counting(&lab);
    lab.ok(&["sandbox", "pause", &id]);
    lab.ok(&["sandbox", "snapshot", &id, "asleep", "--memory"]);
    assert_eq!(lab.state(&id), "paused");
    counts_on(&lab, &lab.sandbox(&["--snapshot", "asleep"]));
    lab.ok(&["sandbox", "resume", &id]);
    counts_on(&lab, &id);
}

#[test]
fn a_command_that_is_followed_is_found_again_with_all_of_its_output() {
    let lab = Lab::with_runsc_that_saves();
    let id = lab.sandbox(&["--runtime", "gvisor", "--memory", "256MiB"]);
    lab.follows_through_a_snapshot(&id);
}

#[test]
fn connections_from_outside_break_off_and_new_ones_are_answered() {
    let lab = Lab::with_runsc_that_saves();
    let id = counting(&lab);
    let mut followed = lab
        .command(&["sandbox", "exec", &id, "--", "sh", "-c", "echo begun; exec sleep 1000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut begun = [0; 6];
    std::io::Read::read_exact(followed.stdout.as_mut().unwrap(), &mut begun).unwrap();
    lab.ok(&["sandbox", "snapshot", &id, "cut", "--memory"]);
    let copy = lab.sandbox(&["--snapshot", "cut"]);
    for one in [&id, &copy] {
        counts_on(&lab, one);
        assert!(lab.sh(one, "ps").contains("sleep 1000"), "the command went with its connection");
    }
    // Whoever follows it goes on with the original, and no longer than that is there.
    assert!(followed.try_wait().unwrap().is_none());
    lab.ok(&["sandbox", "rm", "--yes", &id]);
    assert!(!followed.wait().unwrap().success());
}

#[test]
fn what_cannot_be_saved_is_said_and_goes_on_unharmed() {
    let lab = Lab::with_runsc_that_saves();
    let id = counting(&lab);
    // gVisor can't find a file again that has no name any more.
    lab.detach(&id, "exec 4>/srv/nameless; rm /srv/nameless; exec sleep 1000");
    wait_until("it has no name", || lab.try_sh(&id, "ls /srv/nameless").code == 1);
    wait_until("it sleeps", || lab.sh(&id, "ps").contains("sleep 1000"));
    let done = lab.run(&["sandbox", "snapshot", &id, "--memory"]);
    done.fails(6, &["nameless", "can't be restored", "--files-only"]);
    counts_on(&lab, &id);
    let taken = lab.json(&["sandbox", "snapshot", &id]);
    assert_eq!(taken["memory"], false);
    assert_eq!(lab.json(&["snapshot", "ls"]).as_array().unwrap().len(), 1);
    let left = std::fs::read_dir(lab.home().join("snapshots")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a state without a snapshot is left");
    counts_on(&lab, &id);
}

#[test]
fn other_volumes_than_the_processes_had_are_refused() {
    let lab = Lab::with_runsc_that_saves();
    lab.ok(&["volume", "create", "shared"]);
    let volume = ["--runtime", "gvisor", "--memory", "256MiB", "--volume", "shared:/data"];
    let id = lab.sandbox(&volume);
    lab.detach(&id, "exec 3>/data/log; while true; do echo line >&3; sleep 0.05; done");
    wait_until("it writes", || lab.try_sh(&id, "cat /data/log").stdout.contains("line"));
    lab.ok(&["sandbox", "snapshot", &id, "with", "--memory"]);
    let without = lab.run(&["sandbox", "create", "--snapshot", "with"]);
    without.fails(6, &["/data", "the same volumes"]);
    let with = lab.sandbox(&["--snapshot", "with", "--volume", "shared:/data"]);
    assert!(lab.sh(&with, "cat /data/log").contains("line"));
}

#[test]
fn a_kill_in_the_midst_leaves_a_snapshot_whole_or_none() {
    let lab = Lab::with_runsc_that_saves();
    let id = counting(&lab);
    for after in [20, 80, 160, 320] {
        let mut taking = lab.command(&["sandbox", "snapshot", &id, "--memory"]);
        let mut taking = taking
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after));
        let plane = serving(&lab).unwrap();
        // SAFETY: a signal to a process that this test started.
        unsafe { libc::kill(plane, libc::SIGKILL) };
        taking.wait().unwrap();
        wait_until("it is gone", || serving(&lab) != Some(plane));
        counts_on(&lab, &id);
    }
    let taken = lab.json(&["snapshot", "ls"]);
    for one in taken.as_array().unwrap() {
        counts_on(&lab, &lab.sandbox(&["--snapshot", one["id"].as_str().unwrap()]));
    }
    let states = std::fs::read_dir(lab.home().join("snapshots")).map_or(0, Iterator::count);
    assert_eq!(states, taken.as_array().unwrap().len());
}

#[test]
fn a_runsc_that_cannot_save_says_so() {
    let lab = Lab::with_runtime("gvisor");
    let id = lab.sandbox(&["--runtime", "gvisor", "--memory", "256MiB"]);
    let all = lab.json(&["runtime", "ls"]);
    let one = all.as_array().unwrap().iter().find(|one| one["name"] == "gvisor").unwrap();
    let done = lab.run(&["sandbox", "snapshot", &id, "--memory"]);
    if one["memory_snapshots"] == true {
        assert_eq!(done.code, 0, "{done:?}");
    } else {
        done.fails(8, &["runsc", "can't save", "install a newer runsc"]);
    }
    assert_eq!(lab.sh(&id, "echo still here"), "still here\n");
}
