//! `pause`, `resume`, `stop`, `start`: what of a sandbox is kept.

use crate::support::{Lab, wait_until};

/// Counts in memory and notes the second of each count.
const COUNT: &str =
    "n=0; while :; do n=$((n+1)); echo $n $(date +%s) >> /srv/counts; sleep 0.1; done";

fn counts(lab: &Lab, id: &str) -> Vec<(u64, u64)> {
    let text = lab.sh(id, "cat /srv/counts");
    let pairs = text.lines().filter_map(|line| {
        let (count, at) = line.split_once(' ')?;
        Some((count.parse().ok()?, at.parse().ok()?))
    });
    pairs.collect()
}

#[test]
fn a_paused_process_stands_still_and_goes_on_where_it_was() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.detach(&id, COUNT);
    wait_until("it counts", || lab.sh(&id, "cat /srv/counts 2>/dev/null | wc -l").trim() > "4");
    lab.ok(&["sandbox", "pause", &id]);
    assert_eq!(lab.state(&id), "paused");
    std::thread::sleep(std::time::Duration::from_secs(4));
    lab.ok(&["sandbox", "resume", &id]);
    let before = counts(&lab, &id).len();
    wait_until("it counts again", || counts(&lab, &id).len() > before + 5);
    let counts = counts(&lab, &id);
    // Not one count is missing, so it is the same process; and there was a time without any.
    assert!(counts.iter().zip(1..).all(|((count, _), n)| *count == n), "{counts:?}");
    let gap = counts.windows(2).map(|two| two[1].1 - two[0].1).max();
    assert!(gap >= Some(3), "{counts:?}");
}

#[test]
fn what_is_paused_takes_no_command_until_it_is_resumed() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--name", "dev"]);
    lab.ok(&["sandbox", "pause", "dev"]);
    lab.run(&["sandbox", "exec", "dev", "--", "true"]).fails(4, &["paused", "sandbox resume dev"]);
    lab.run(&["sandbox", "pause", "dev"]).fails(4, &["paused"]);
    lab.run(&["sandbox", "start", "dev"]).fails(4, &["paused"]);
    lab.ok(&["sandbox", "resume", "dev"]);
    lab.ok(&["sandbox", "resume", "dev"]);
    assert_eq!(lab.sh(&id, "echo awake"), "awake\n");
}

#[test]
fn what_is_paused_can_be_removed_and_stopped() {
    let lab = Lab::with_image();
    let (one, two) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.sh(&two, "echo kept > /srv/kept");
    for id in [&one, &two] {
        lab.detach(id, "exec sleep 1000");
        lab.ok(&["sandbox", "pause", id]);
    }
    lab.ok(&["sandbox", "rm", "--yes", &one]);
    lab.ok(&["sandbox", "stop", &two]);
    assert_eq!((lab.state(&one).as_str(), lab.state(&two).as_str()), ("gone", "stopped"));
    lab.ok(&["sandbox", "start", &two]);
    assert_eq!(lab.sh(&two, "cat /srv/kept; ps | grep -c '[s]leep 1000' || true"), "kept\n0\n");
}

#[test]
fn a_stop_keeps_files_and_ends_processes() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--network", "none", "-e", "COLOUR=green"]);
    lab.sh(&id, "echo kept > /srv/kept; rm /bin/vi; chown user /srv/kept");
    lab.detach(&id, "exec sleep 1000");
    lab.ok(&["sandbox", "stop", &id]);
    assert_eq!(lab.state(&id), "stopped");
    lab.run(&["sandbox", "exec", &id, "--", "true"]).fails(4, &["stopped", "resume"]);
    lab.ok(&["sandbox", "start", &id]);
    let seen = lab.sh(&id, "cat /srv/kept; ls /bin/vi 2>/dev/null; stat -c %U /srv/kept; ps | grep -c '[s]leep 1000'; echo $COLOUR; ls /sys/class/net");
    assert_eq!(seen, "kept\nuser\n0\ngreen\nlo\n");
    lab.ok(&["sandbox", "start", &id]);
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "stop", &id]);
}

#[test]
fn a_sandbox_whose_first_process_is_killed_is_stopped_and_starts_again() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "echo kept > /srv/kept");
    crate::support::kill_sandbox(&lab, &id);
    wait_until("it is noticed", || lab.state(&id) == "stopped");
    let notes = lab.show(&id)["notes"].to_string();
    assert!(notes.contains("ended"), "{notes}");
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "cat /srv/kept"), "kept\n");
}
