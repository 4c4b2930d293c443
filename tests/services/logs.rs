//! `atelier env logs` of services, kept and followed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::Lab;

const TALKERS: &str = r#"
services:
  one:
    image: atelier-test:1
    command: ["sh", "-c", "echo one begins; trap exit TERM; while :; do sleep 0.1; done"]
    stop_grace_period: 2s
  two:
    image: atelier-test:1
    command: ["sh", "-c", "echo two begins; echo two fails >&2; exec sleep 1000"]
    stop_grace_period: 0s
"#;

#[test]
fn they_are_followed_over_restarts_and_to_the_end_of_the_services() {
    let lab = Lab::with_services("talkers", TALKERS);
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let mut follow = lab.command(&["env", "logs", "-f", "--services", "a1"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut first: Vec<String> = lines.by_ref().take(3).collect();
    first.sort();
    assert!(first[0].ends_with("| one begins") && first[1].ends_with("| two begins"), "{first:?}");
    assert!(first[2].ends_with("| two fails"), "{first:?}");
    lab.ok(&["env", "restart", "a1", "one"]);
    assert!(lines.next().unwrap().ends_with("| one begins"));
    lab.ok(&["env", "down", "a1"]);
    assert_eq!(lines.next(), None);
    assert!(follow.wait().unwrap().success());
}
