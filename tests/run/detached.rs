//! `atelier run --detach` and `atelier attach`: commands that nobody waits for, and the way back to them.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::{Lab, in_terminal, wait_until};

/// How the newest command of `a` ended, once it did.
fn exit_code(lab: &Lab) -> Option<i64> {
    lab.json(&["env", "logs", "a"]).as_array()?.last()?["exit_code"].as_i64()
}

#[test]
fn a_detached_command_goes_on_its_output_is_kept_and_its_end_is_noted() {
    let lab = Lab::new();
    let script = "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo done; exit 3";
    let pid = lab.ok(&["run", "-d", "a", "--", "sh", "-c", script]);
    let running = lab.json(&["env", "show", "a"])["running"].clone();
    assert_eq!(running[0]["pid"].to_string(), pid.trim());
    lab.ok(&["run", "a", "--", "touch", "go"]);
    // The second command is the newest one from here on; the first is found by its number.
    wait_until("its end is noted", || {
        let logs = lab.json(&["env", "logs", "a"]);
        logs[0]["exit_code"] == 3
    });
    let logs = lab.ok(&["env", "logs", "a"]);
    assert!(logs.contains("begun\ndone\n"), "{logs}");
}

#[test]
fn a_detached_command_outlives_the_control_plane_and_the_next_one_records_its_end() {
    let lab = Lab::new();
    let script = "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two; exit 4";
    lab.ok(&["run", "-d", "a", "--", "sh", "-c", script]);
    wait_until("it wrote", || lab.ok(&["env", "logs", "a"]).contains("one\n"));
    let plane = lab.control_plane().unwrap();
    // SAFETY: a plain system call on a process of this test's own.
    unsafe { libc::kill(plane, libc::SIGKILL) };
    wait_until("it is gone", || lab.control_plane() != Some(plane));
    lab.ok(&["env", "ls"]);
    std::fs::write(lab.project.join("unrelated"), "").unwrap();
    lab.ok(&["run", "a", "--", "touch", "go"]);
    wait_until("its end is noted", || lab.json(&["env", "logs", "a"])[0]["exit_code"] == 4);
    let logs = lab.ok(&["env", "logs", "a"]);
    assert!(logs.contains("one\ntwo\n") && !logs.contains("one\none"), "{logs}");
}

#[test]
fn attach_shows_what_was_written_takes_input_and_gives_the_exit_code() {
    let lab = Lab::new();
    let script = "echo before; read line; echo \"got $line\"; exit 7";
    lab.ok(&["run", "-dt", "a", "--", "sh", "-c", script]);
    let done = in_terminal(
        &lab,
        &["attach", "a"],
        "expect('before')\ntype('hello\\n')\nexpect('got hello')",
    );
    assert_eq!(done.stdout, "status 7\n", "{}", done.stderr);
}

#[test]
fn the_keys_leave_a_command_running_and_one_comes_back_as_often_as_one_likes() {
    let lab = Lab::new();
    let shell = ["run", "a", "--", "sh", "-c", "echo ready; while read x; do echo \"<$x>\"; done"];
    let leave = "type('\\x10\\x11')\nexpect('atelier attach a')";
    let done = in_terminal(&lab, &shell, &format!("expect('ready')\n{leave}"));
    assert_eq!(done.stdout, "status 0\n", "{}", done.stderr);
    for word in ["one", "two"] {
        let play = format!("type('{word}\\n')\nexpect('<{word}>')\n{leave}");
        let done = in_terminal(&lab, &["attach", "a"], &play);
        assert_eq!(done.stdout, "status 0\n", "{}", done.stderr);
    }
    // Other keys, and a terminal that closes instead of leaving.
    let play = "expect('<two>')\ntype('\\x01d')\nexpect('atelier attach a')";
    in_terminal(&lab, &["attach", "a", "--detach-keys", "ctrl-a,d"], play);
    let play = "expect('<two>')\nos.close(fd)\nos.waitpid(pid, 0)\nsys.exit(0)";
    in_terminal(&lab, &["attach", "a"], play);
    assert_eq!(lab.json(&["env", "show", "a"])["running"].as_array().unwrap().len(), 1);
    let play = "expect('<two>')\ntype('\\x04')";
    let done = in_terminal(&lab, &["attach", "a"], play);
    assert_eq!(done.stdout, "status 0\n", "{}", done.stderr);
    assert_eq!(exit_code(&lab), Some(0));
}

#[test]
fn two_terminals_see_the_same_command_and_its_log_has_each_byte_once() {
    let lab = Lab::new();
    let script = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; sleep 0.01; done";
    let mut first = lab.command(&["run", "a", "--", "sh", "-c", script]);
    let mut first = first.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let second = lab.ok(&["attach", "a"]);
    lines.read_to_string(&mut line).unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(second.lines().count(), 50, "{second}");
    assert_eq!(second, line);
    assert!(lab.ok(&["env", "logs", "a"]).ends_with(&second));
}

#[test]
fn with_rm_the_environment_goes_when_the_detached_command_has_ended() {
    let lab = Lab::new();
    lab.ok(&["run", "-d", "--rm", "a", "--", "true"]);
    wait_until("it is gone", || lab.json(&["env", "ls"]).as_array().unwrap().is_empty());
}

#[test]
fn logs_can_be_followed_to_the_end_of_the_command() {
    let lab = Lab::new();
    lab.ok(&["run", "-d", "a", "--", "sh", "-c", "echo one; sleep 0.5; echo two"]);
    let said = lab.ok(&["env", "logs", "-f", "a"]);
    assert!(said.ends_with("one\ntwo\n"), "{said}");
}

#[test]
fn what_cannot_be_attached_to_is_said() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    lab.run(&["attach", "a"])
        .fails(3, &["no command runs in", "atelier run -d a", "atelier env logs a"]);
    lab.run(&["attach", "a", "4242"]).fails(3, &["no command 4242 runs in a"]);
    lab.run(&["attach", "b"]).fails(3, &["b"]);
    lab.ok(&["run", "-d", "a", "--", "sleep", "100"]);
    lab.ok(&["run", "-d", "a", "--", "sleep", "101"]);
    lab.run(&["attach", "a"]).fails(2, &["2 commands run in", "sleep 100", "sleep 101"]);
    lab.run(&["attach", "--detach-keys", "ctrl-", "a"]).fails(2, &["ctrl-p,ctrl-q"]);
}
