//! `atelier env exec`: commands in the containers of services.

use super::SHOP;
use crate::support::{Lab, in_terminal, wait_until};

fn lab() -> Lab {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    lab
}

#[test]
fn a_command_runs_in_the_container_with_its_input_streams_and_code() {
    let lab = lab();
    let script = "cat; echo out $X; pwd; id -u; echo bad >&2; exit 9";
    let exec =
        ["env", "exec", "-e", "X=1", "-w", "/tmp", "-u", "7", "a1", "db", "sh", "-c", script];
    let done = lab.with_input(&exec, b"in\n");
    assert_eq!(done.stdout, "in\nout 1\n/tmp\n7\n");
    assert_eq!(done.stderr, "bad\n");
    assert_eq!(done.code, 9);
    // Much of both, unharmed.
    let many = vec![b'x'; 3 << 20];
    let done = lab.with_input(&["env", "exec", "a1", "db", "--", "cat"], &many);
    assert_eq!(done.stdout.len(), many.len());
}

#[test]
fn with_a_terminal_it_is_one_of_the_users_size() {
    let lab = lab();
    let play = "type('stty size\\n')\nexpect('31 97')\nresize(40, 120)\ntime.sleep(0.5)\n\
                type('stty size\\n')\nexpect('40 120')\ntype('exit 6\\n')";
    let done = in_terminal(&lab, &["env", "exec", "a1", "db"], play);
    assert_eq!(done.stdout, "status 6\n", "{}", done.stderr);
}

#[test]
fn a_signal_reaches_it_and_one_whose_user_has_gone_ends() {
    let lab = lab();
    let script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut exec = lab.command(&["env", "exec", "a1", "db", "sh", "-c", script]);
    let mut exec = exec.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(exec.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    // SAFETY: a plain system call on this test's own child.
    unsafe { libc::kill(exec.id().cast_signed(), libc::SIGTERM) };
    assert_eq!(exec.wait().unwrap().code(), Some(5));
    let mut left = lab.spawn(&["env", "exec", "a1", "db", "--", "sleep", "4321"]);
    let runs = || lab.ok(&["env", "exec", "a1", "db", "ps"]).contains("sleep 4321");
    wait_until("it runs", runs);
    left.kill().unwrap();
    left.wait().unwrap();
    wait_until("it ended", || !runs());
}

#[test]
fn an_environment_without_services_says_so_before_an_engine_is_asked() {
    let mut lab = Lab::with_services("shop", SHOP);
    lab.set("ATELIER_ENGINE", "unix:///no/such/socket");
    lab.ok(&["env", "create", "a1"]);
    for args in [
        &["env", "exec", "a1", "db", "true"][..],
        &["env", "logs", "--services", "a1"],
        &["env", "logs", "-f", "--services", "a1"],
    ] {
        lab.run(args).fails(3, &["has no services", "atelier env up a1"]);
    }
}

#[test]
fn what_does_not_run_is_named() {
    let lab = lab();
    lab.run(&["env", "exec", "a1", "cache", "true"]).fails(3, &["cache", "db"]);
    lab.run(&["env", "exec", "--index", "2", "a1", "db", "true"]).fails(3, &["no container 2"]);
    lab.ok(&["env", "down", "a1"]);
    lab.run(&["env", "exec", "a1", "db", "true"]).fails(3, &["does not run", "env up a1 db"]);
    let done = lab.run(&["env", "exec", "a1"]);
    done.fails(2, &["SERVICE"]);
}
