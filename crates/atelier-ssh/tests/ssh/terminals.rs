//! Terminals.

use std::fs;
use std::process::{Command, Stdio};

use crate::harness::{PATIENCE, Place, feed, ok, text};

/// Runs a line of the shell in a terminal of its own, as somebody at a terminal would.
fn at_a_terminal(line: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string());
    command.args(["script", "-q", "-e", "-c", line, "/dev/null"]).env("TERM", "vt220");
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_terminal_has_the_size_and_kind_of_the_clients_and_follows_it() {
    let place = Place::new();
    let inside = "tty >&2; echo kind $TERM; stty size; \
        while [ \"$(stty size)\" != '40 120' ]; do sleep 0.05; done; echo changed";
    fs::write(place.path("home/inside"), inside).unwrap();
    let config = place.path("config").display().to_string();
    let line = format!(
        "stty rows 33 cols 101; (sleep 1; stty rows 40 cols 120 < /dev/tty) & ssh -F {config} -t box 'sh ./inside'"
    );
    let said = ok(&at_a_terminal(&line).output().unwrap());
    assert!(said.contains("/dev/pts/"), "{said}");
    assert!(said.contains("kind vt220\r\n33 101\r\n"), "{said}");
    assert!(said.contains("changed"), "{said}");
}

#[test]
fn the_end_of_input_is_typed_at_a_terminal() {
    let place = Place::new();
    let mut ssh = place.program("ssh");
    let output = feed(ssh.args(["-tt", "box", "cat; echo $((6*7))"]), b"line\n");
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("line\r\n42"), "{output:?}");
}

#[test]
fn a_typed_interrupt_reaches_the_foreground() {
    let place = Place::new();
    let mut ssh = place.program("ssh");
    let line = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut child = ssh
        .args(["-tt", "box", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("ready") {
        let mut byte = [0];
        assert_eq!(std::io::Read::read(&mut stdout, &mut byte).unwrap(), 1, "{}", text(&seen));
        seen.push(byte[0]);
    }
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &[3]).unwrap();
    std::io::Read::read_to_end(&mut stdout, &mut seen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(text(&seen).contains("caught"), "{}", text(&seen));
}

#[test]
fn a_terminal_that_is_left_hangs_up() {
    let place = Place::new();
    let mut ssh = place.program("ssh");
    let line = "trap 'echo hup > left; exit' HUP; while :; do sleep 0.05; done";
    let mut child =
        ssh.args(["-tt", "box", line]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    crate::harness::until(|| place.runs("trap"));
    crate::harness::end(&child);
    child.wait().unwrap();
    crate::harness::until(|| place.path("home/left").exists());
}
