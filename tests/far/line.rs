//! The line to a far host breaks: commands go on, transfers are made up for.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Instant;

use super::Pair;
use crate::support::PATIENCE;

/// Reads lines until one has these words.
fn wait_for(reader: &mut impl BufRead, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it ended without {words:?}");
    }
}

#[test]
fn a_command_goes_on_while_the_line_is_cut() {
    let pair = Pair::new();
    let script = "echo before; until [ -e go ]; do sleep 0.1; done; echo after; exit 7";
    let mut child = pair.lab.spawn(&["--on", "far", "run", "-v", "e1", "--", "sh", "-c", script]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut stdout, "before");
    pair.far.cable(false);
    wait_for(&mut stderr, "connection was lost");
    // Meanwhile the command does its work and ends.
    let program = fs::read_dir(pair.far.home().join("bin/far")).unwrap().next().unwrap().unwrap();
    let mut go = pair.far.command(program.path());
    let go = go.args(["run", "e1", "-C"]).arg(pair.far.mirror()).args(["--", "touch", "go"]);
    assert!(go.status().unwrap().success());
    pair.far.cable(true);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "after\n", "each byte comes once");
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_transfer_that_was_killed_is_completed_by_the_next() {
    let pair = Pair::new();
    pair.ok(&["run", "e1", "--", "true"]);
    let mirror = pair.far.mirror();
    let temporary = mirror.with_extension("tmp");
    let big: Vec<u8> =
        (0..48_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for name in ["a", "b", "c", "d"] {
        pair.lab.write(name, &big);
    }
    pair.lab.write("src/app.txt", "changed\n");
    let mut run = pair.lab.command(&["--on", "far", "run", "e2", "--", "true"]);
    let mut child =
        run.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while fs::read_dir(&temporary).unwrap().next().is_none() {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    // SAFETY: kill(2) takes numbers alone; the group is of this test.
    unsafe { libc::kill(-i32::try_from(child.id()).unwrap(), libc::SIGKILL) };
    child.wait().unwrap();
    // No half file is in the mirror: each is as it was, or as it is.
    for name in ["a", "b", "c", "d"] {
        let there = fs::read(mirror.join(name)).ok();
        assert!(there.is_none_or(|there| there == big), "{name} is half");
    }
    let app = fs::read_to_string(mirror.join("src/app.txt")).unwrap();
    assert!(["one\ntwo\nthree\n", "changed\n"].contains(&app.as_str()), "{app}");
    assert_eq!(pair.ok(&["run", "e3", "--", "cat", "src/app.txt"]), "changed\n");
    assert!(fs::read(mirror.join("d")).unwrap() == big);
}
