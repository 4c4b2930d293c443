//! The same life on every runtime that has images: what works on one works on the others.

use serde_json::Value;

use crate::support::{Lab, serving, wait_until};

fn create(lab: &Lab, runtime: &str, args: &[&str]) -> String {
    lab.sandbox(
        &[&["--runtime", runtime, "--memory", "256MiB", "--network", "none"], args].concat(),
    )
}

/// Files, users, folders, output on both streams, exit codes.
fn commands_and_files(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let id = create(&lab, runtime, &["-e", "COLOUR=green"]);
    let done = lab.try_sh(&id, "echo $COLOUR; id -u; echo wrong >&2; exit 7");
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str(), done.code),
        ("green\n0\n", "wrong\n", 7)
    );
    let as_user = ["sandbox", "exec", &id, "--user", "user", "--", "sh", "-c", "id -un; pwd"];
    assert_eq!(lab.ok(&as_user), "user\n/home/user\n");
    lab.run(&["sandbox", "exec", &id, "--", "nothing-here"]).fails(127, &["nothing-here"]);
    lab.write("tree/deep/file", "content");
    lab.ok(&["sandbox", "cp", "tree", &format!("{id}:/srv/")]);
    assert_eq!(lab.sh(&id, "cat /srv/tree/deep/file"), "content");
    lab.sh(&id, "seq 200000 > /srv/numbers");
    lab.ok(&["sandbox", "cp", &format!("{id}:/srv/numbers"), "back"]);
    assert_eq!(lab.read("back").lines().count(), 200_000);
    let answer: Value = lab.json(&["sandbox", "show", &id]);
    assert_eq!(answer["runtime"], runtime);
    lab.ok(&["sandbox", "rm", "--yes", &id]);
    assert_eq!(lab.state(&id), "gone");
}

/// Stopped, started, paused, resumed: files stay, and processes where they should.
fn life(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let id = create(&lab, runtime, &[]);
    lab.sh(&id, "echo kept > /srv/kept");
    // Twice: the second start finds what the first has left.
    for _ in 0..2 {
        lab.ok(&["sandbox", "stop", &id]);
        lab.ok(&["sandbox", "start", &id]);
        assert_eq!(lab.sh(&id, "cat /srv/kept"), "kept\n");
    }
    lab.detach(&id, "n=0; while true; do n=$((n+1)); echo $n > /tmp/count; sleep 0.05; done");
    wait_until("it counts", || {
        lab.try_sh(&id, "cat /tmp/count").stdout.trim().parse::<u32>().is_ok()
    });
    lab.ok(&["sandbox", "pause", &id]);
    lab.run(&["sandbox", "exec", &id, "--", "true"]).fails(4, &["paused", "resume"]);
    lab.ok(&["sandbox", "resume", &id]);
    let count = || lab.sh(&id, "cat /tmp/count").trim().parse::<u32>().unwrap_or_default();
    let before = count();
    wait_until("it goes on counting", || count() > before);
    crate::support::kill_sandbox(&lab, &id);
    wait_until("its end is noticed", || lab.state(&id) == "stopped");
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "cat /srv/kept"), "kept\n");
}

/// Snapshots, restore and fork.
fn copies(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let id = create(&lab, runtime, &[]);
    lab.sh(&id, "echo one > /srv/state");
    lab.ok(&["sandbox", "snapshot", &id, "first"]);
    lab.sh(&id, "echo two > /srv/state");
    let forks = lab.json(&["sandbox", "fork", &id, "--count", "2"]);
    for fork in forks.as_array().unwrap() {
        let fork = fork["id"].as_str().unwrap();
        assert_eq!(lab.sh(fork, "cat /srv/state; echo three > /srv/state"), "two\n");
    }
    assert_eq!(lab.sh(&id, "cat /srv/state"), "two\n");
    lab.ok(&["sandbox", "restore", "--yes", &id, "first"]);
    assert_eq!(lab.sh(&id, "cat /srv/state"), "one\n");
    let other = lab.sandbox(&["--snapshot", "first", "--runtime", runtime]);
    assert_eq!(lab.sh(&other, "cat /srv/state"), "one\n");
}

/// The control plane is killed; what runs goes on, and the next one finds it.
fn found_again(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let id = create(&lab, runtime, &[]);
    lab.detach(&id, "echo begun > /tmp/begun; exec sleep 1000");
    wait_until("it runs", || lab.try_sh(&id, "cat /tmp/begun").stdout == "begun\n");
    let first = serving(&lab).unwrap();
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(first, libc::SIGKILL) };
    wait_until("it is gone", || serving(&lab) != Some(first));
    assert_eq!(lab.sh(&id, "ps | grep -c '[s]leep 1000'"), "1\n");
    assert_eq!(lab.state(&id), "running");
}

macro_rules! on {
    ($($runtime:ident),+) => { $(mod $runtime {
        #[test]
        fn commands_and_files() { super::commands_and_files(stringify!($runtime)); }
        #[test]
        fn life() { super::life(stringify!($runtime)); }
        #[test]
        fn copies() { super::copies(stringify!($runtime)); }
        #[test]
        fn found_again() { super::found_again(stringify!($runtime)); }
    })+ };
}

on!(oci, gvisor, qemu);

#[test]
fn a_machine_goes_on_from_its_memory() {
    let lab = Lab::with_runtime("qemu");
    let id = create(&lab, "qemu", &[]);
    lab.detach(&id, "echo $$ > /tmp/first; exec sleep 1000");
    wait_until("it runs", || !lab.try_sh(&id, "cat /tmp/first").stdout.is_empty());
    lab.ok(&["sandbox", "snapshot", &id, "warm", "--memory"]);
    let copy = lab.sandbox(&["--snapshot", "warm"]);
    assert_eq!(lab.sh(&copy, "ps | grep -c '[s]leep 1000'"), "1\n");
    assert_ne!(lab.sh(&copy, "hostname"), lab.sh(&id, "hostname"));
}
