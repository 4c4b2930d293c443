//! How long a sandbox lives, and what happens then.

use crate::support::{Lab, Traces, wait_until};

#[test]
fn a_sandbox_whose_time_is_over_is_removed() {
    let lab = Lab::with_image();
    let before = Traces::of(&lab.home());
    let id = lab.sandbox(&["--timeout", "2s"]);
    assert!(lab.show(&id)["expires_at"].is_string());
    wait_until("it is gone", || lab.state(&id) == "gone");
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn it_is_paused_or_stopped_instead_when_that_was_asked() {
    let lab = Lab::with_image();
    let paused = lab.sandbox(&["--timeout", "2s", "--on-expiry", "pause"]);
    let stopped = lab.sandbox(&["--timeout", "2s", "--on-expiry", "stop"]);
    lab.detach(&paused, "exec sleep 1000");
    lab.sh(&stopped, "echo kept > /srv/kept");
    wait_until("one is paused", || lab.state(&paused) == "paused");
    wait_until("one is stopped", || lab.state(&stopped) == "stopped");
    lab.ok(&["sandbox", "resume", &paused, "--timeout", "1h"]);
    lab.ok(&["sandbox", "resume", &stopped, "--timeout", "1h"]);
    assert!(lab.sh(&paused, "ps").contains("sleep 1000"));
    assert_eq!(lab.sh(&stopped, "cat /srv/kept"), "kept\n");
}

#[test]
fn its_time_is_set_anew_and_can_be_for_ever() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--timeout", "1h"]);
    let first = lab.show(&id)["expires_at"].as_str().unwrap().to_owned();
    lab.ok(&["sandbox", "extend", &id, "2h"]);
    let second = lab.show(&id)["expires_at"].as_str().unwrap().to_owned();
    assert!(second > first, "{first} {second}");
    lab.ok(&["sandbox", "extend", &id, "--forever"]);
    assert!(lab.show(&id)["expires_at"].is_null());
    lab.ok(&["sandbox", "extend", &id, "1s"]);
    wait_until("it is gone", || lab.state(&id) == "gone");
}

#[test]
fn time_does_not_run_while_it_is_paused() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--timeout", "20s"]);
    lab.ok(&["sandbox", "pause", &id]);
    assert!(lab.show(&id)["expires_at"].is_null());
    lab.ok(&["sandbox", "resume", &id]);
    assert!(lab.show(&id)["expires_at"].is_string());
}

#[test]
fn one_whose_time_was_over_while_nothing_served_is_removed_at_the_next_start() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--timeout", "2s"]);
    let kept = lab.sandbox(&["--timeout", "1h"]);
    lab.ok(&["stop"]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    wait_until("it is gone", || lab.state(&id) == "gone");
    assert_eq!(lab.sh(&kept, "echo here"), "here\n");
}
