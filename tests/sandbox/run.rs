//! `atelier sandbox run`: a sandbox for one command.

use crate::support::{Lab, Traces, wait_until};

#[test]
fn the_command_runs_and_the_sandbox_is_gone_afterwards() {
    let lab = Lab::with_image();
    let before = Traces::of(&lab.home());
    let done = lab.run(&["sandbox", "run", "box", "--", "sh", "-c", "cat /etc/group; exit 3"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, "root:x:0:\nuser:x:1000:\n"), "{done:?}");
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 0);
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn it_takes_standard_input() {
    let lab = Lab::with_image();
    let done = lab.with_input(&["sandbox", "run", "box", "--", "tr", "a-z", "A-Z"], b"hello\n");
    assert_eq!(done.stdout, "HELLO\n", "{done:?}");
}

#[test]
fn a_command_that_there_is_not_leaves_no_sandbox_either() {
    let lab = Lab::with_image();
    lab.run(&["sandbox", "run", "box", "--", "no-such-command"]).fails(127, &["no-such-command"]);
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 0);
}

#[test]
fn an_interrupted_run_removes_its_sandbox() {
    let lab = Lab::with_image();
    let before = Traces::of(&lab.home());
    let mut client = lab.spawn(&["sandbox", "run", "box", "--", "sleep", "1000"]);
    let runs = || {
        let found = lab.json(&["sandbox", "ls", "--state", "running"]);
        let id = found[0]["id"].as_str().map(str::to_owned);
        id.is_some_and(|id| lab.run(&["sandbox", "ps", &id]).stdout.contains("sleep 1000"))
    };
    wait_until("the command runs", runs);
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(i32::try_from(client.id()).unwrap(), libc::SIGTERM) };
    wait_until("the client ended", || client.try_wait().unwrap().is_some());
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 0);
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn an_image_that_there_is_not_is_said() {
    let lab = Lab::with_image();
    // Nothing listens on that port: there is no registry to be asked.
    let done = lab.run(&["sandbox", "run", "localhost:9/nothing:1", "--", "true"]);
    assert!(done.code != 0 && done.stderr.contains("localhost:9"), "{done:?}");
    assert!(done.stderr.contains("hint:"), "{done:?}");
}
