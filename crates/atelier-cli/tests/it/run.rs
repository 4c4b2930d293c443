//! `atelier run` as a user meets it, against a control plane that runs plain processes.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::support::{Home, Plane};
use atelier_api::session::ToServer;
use rustix::process::{Pid, Signal, kill_process};

fn sh(home: &Home, script: &str) -> Output {
    home.atelier(&["run", "a", "--", "sh", "-c", script]).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Reads from a child until `word` has come.
fn read_until(from: &mut impl Read, word: &str) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(word.as_bytes()) {
        assert_eq!(from.read(&mut byte).unwrap(), 1, "ended before {word:?} came");
        seen.push(byte[0]);
    }
}

#[test]
fn output_streams_stay_apart_and_the_code_is_the_commands() {
    let home = Home::new(Plane::default());
    let output = sh(&home, "echo out; echo err >&2; exit 42");
    assert_eq!(text(&output.stdout), "out\n");
    assert_eq!(text(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn a_signal_that_ends_the_command_shows_in_the_code() {
    let home = Home::new(Plane::default());
    assert_eq!(sh(&home, "kill -9 $$").status.code(), Some(137));
}

#[test]
fn standard_input_arrives_whole() {
    for counts in [false, true] {
        let home = Home::new(Plane { counts, ..Plane::default() });
        let mut command = home.atelier(&["run", "a", "--", "cat"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // Not a multiple of anything, and more than the window and the pipes hold.
        let data: Vec<u8> = (0..5_000_011_u32).map(|n| (n % 251) as u8).collect();
        let mut stdin = child.stdin.take().unwrap();
        let given = data.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&given).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.stdout == data, "{} bytes came back", output.stdout.len());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_command_that_reads_nothing_still_gets_signals() {
    let home = Home::new(Plane { counts: true, ..Plane::default() });
    let script = "echo ready; exec sleep 60";
    let mut command = home.atelier(&["run", "a", "--", "sh", "-c", script]);
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let mut child = command.stdin(zeros).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    read_until(&mut stdout, "ready\n");
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn without_input_none_is_asked_for() {
    let home = Home::new(Plane::default());
    sh(&home, "true");
    home.atelier(&["run", "a", "--no-stdin", "--", "cat"]).stdin(Stdio::piped()).output().unwrap();
    let hellos = home.plane.hellos.lock().unwrap();
    for hello in hellos.iter() {
        assert!(matches!(hello, ToServer::Start(start) if !start.stdin));
    }
}

#[test]
fn signals_go_to_the_command() {
    let home = Home::new(Plane::default());
    for (signal, code) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::USR1, 10)] {
        let script =
            format!("trap 'exit {code}' INT TERM USR1; echo ready; while :; do sleep 0.01; done");
        let mut command = home.atelier(&["run", "a", "--", "sh", "-c", &script]);
        let mut child = command.spawn().unwrap();
        read_until(child.stdout.as_mut().unwrap(), "ready\n");
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn when_atelier_is_killed_the_command_is_hung_up_on() {
    let home = Home::new(Plane::default());
    let mark = home.path().join("hung-up");
    let script = format!(
        "trap 'echo > {}; exit' HUP; echo ready; while :; do sleep 0.01; done",
        mark.display()
    );
    let mut child = home.atelier(&["run", "a", "--", "sh", "-c", &script]).spawn().unwrap();
    read_until(child.stdout.as_mut().unwrap(), "ready\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !mark.exists() {
        assert!(Instant::now() < deadline, "nobody told the command");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_lost_connection_costs_nothing_and_repeats_nothing() {
    for say_so in [false, true] {
        let drop_after = AtomicU64::new(100_000);
        let home = Home::new(Plane { drop_after, say_so, ..Plane::default() });
        let output = sh(&home, "seq 1 50000; echo end >&2; exit 7");
        let want: String = (1..=50000).map(|n| format!("{n}\n")).collect();
        assert!(text(&output.stdout) == want, "{} bytes came", output.stdout.len());
        assert_eq!(text(&output.stderr), "end\n");
        assert_eq!(output.status.code(), Some(7));
        let hellos = home.plane.hellos.lock().unwrap();
        assert!(
            matches!(&hellos[1], ToServer::Attach(a) if a.offset >= Some(100_000)),
            "{hellos:?}"
        );
    }
}

#[test]
fn with_verbose_a_lost_connection_is_mentioned() {
    let home = Home::new(Plane { drop_after: AtomicU64::new(1), ..Plane::default() });
    let output = home.atelier(&["run", "a", "-v", "--", "echo", "x"]).output().unwrap();
    assert_eq!(text(&output.stdout), "x\n");
    assert!(text(&output.stderr).contains("connection was lost"), "{output:?}");
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let home = Home::new(Plane::default());
    let mut child = home.atelier(&["run", "a", "--", "yes"]).spawn().unwrap();
    read_until(child.stdout.as_mut().unwrap(), "y\n");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_problem_is_told_with_its_hint_and_code() {
    let home = Home::new(Plane::default());
    let output = home.atelier(&["run", "taken", "--new", "--", "true"]).output().unwrap();
    assert_eq!(text(&output.stderr), "error: taken is there already\nhint: take another name\n");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn arguments_need_not_be_text() {
    let home = Home::new(Plane::default());
    let odd = OsStr::from_bytes(b"caf\xe9 \n%41");
    let output = home.atelier(&["run", "a", "--", "printf", "%s"]).arg(odd).output().unwrap();
    assert_eq!(output.stdout, odd.as_bytes());
}

#[test]
fn only_known_variables_are_passed_on() {
    let home = Home::new(Plane::default());
    let mut command = home.atelier(&["run", "a", "-e", "OWN", "-e", "NEW=1", "--", "env"]);
    command.env("SECRET", "x").env("LC_ALL", "C").env("OWN", "mine").env("TERM", "xterm");
    let output = command.output().unwrap();
    let mut lines: Vec<_> =
        text(&output.stdout).lines().filter(|line| !line.starts_with("PATH=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["LC_ALL=C", "NEW=1", "OWN=mine"]);
}

#[test]
fn a_command_of_the_project_runs_by_its_name() {
    let home = Home::new(Plane::default());
    std::fs::write(home.path().join("atelier.yaml"), "").unwrap();
    let plain = home.atelier(&["run", "a", "greet"]).output().unwrap();
    assert_eq!(text(&plain.stdout), "hello\n");
    let more = home.atelier(&["run", "a", "greet", "--", "big  world"]).output().unwrap();
    assert_eq!(text(&more.stdout), "hello big  world\n");
    let wrong = home.atelier(&["run", "a", "npm"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("atelier run ENV -- npm"), "{wrong:?}");
}

#[test]
fn the_name_comes_from_the_branch() {
    let home = Home::new(Plane::default());
    std::fs::create_dir(home.path().join(".git")).unwrap();
    std::fs::write(home.path().join(".git/HEAD"), "ref: refs/heads/fix/Login\n").unwrap();
    home.atelier(&["run", "--", "true"]).output().unwrap();
    home.atelier(&["run", "--rm", "--", "true"]).output().unwrap();
    let hellos = home.plane.hellos.lock().unwrap();
    assert!(matches!(&hellos[0], ToServer::Start(s) if s.env.as_str() == "fix-login"));
    assert!(
        matches!(&hellos[1], ToServer::Start(s) if s.remove && s.env.as_str().starts_with("run-"))
    );
}

#[test]
fn bad_names_and_flags_are_wrong_usage() {
    let home = Home::new(Plane::default());
    for arguments in [
        &["run", "Bad Name", "--", "true"][..],
        &["run", "a", "--memory", "lots", "--", "true"],
        &["run", "a", "--network", "none", "--allow", "x:1", "--", "true"],
        &["run", "a", "-e", "UNSET", "--", "true"],
        &["run", "a", "--name", "b", "--", "true"],
    ] {
        let output = home.atelier(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
    }
    assert!(home.plane.hellos.lock().unwrap().is_empty());
}
