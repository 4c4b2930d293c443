//! With a terminal: as with ssh. Python's pty module plays the user's terminal.

use crate::support::{Lab, in_terminal};

#[test]
fn the_command_has_a_terminal_of_the_users_size() {
    let lab = Lab::new();
    let done = in_terminal(
        &lab,
        &["run", "a", "--", "sh", "-c", "stty size; read line; stty size; exit 5"],
        "expect('31 97')\nresize(40, 120)\ntime.sleep(0.5)\ntype('\\n')\nexpect('40 120')",
    );
    assert_eq!(done.stdout, "status 5\n", "{}", done.stderr);
}

#[test]
fn ctrl_c_interrupts_the_command_and_not_the_connection() {
    let lab = Lab::new();
    let done = in_terminal(
        &lab,
        &[
            "run",
            "a",
            "--",
            "sh",
            "-c",
            "trap 'echo caught' INT; echo ready; sleep 100; echo after",
        ],
        "expect('ready')\ntime.sleep(0.3)\ntype('\\x03')\nexpect('caught')\nexpect('after')",
    );
    assert_eq!(done.stdout, "status 0\n", "{}", done.stderr);
}

#[test]
fn without_a_command_there_is_a_shell() {
    let lab = Lab::new();
    let done = in_terminal(
        &lab,
        &["run", "a"],
        "time.sleep(0.5)\ntype('echo $((40+2)) $ATELIER_ENV\\n')\nexpect('42 a')\ntype('exit 6\\n')",
    );
    assert_eq!(done.stdout, "status 6\n", "{}", done.stderr);
}

#[test]
fn a_closed_terminal_hangs_up_the_command() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    in_terminal(
        &lab,
        &["run", "a", "--", "sh", "-c", "echo ready; exec sleep 1000"],
        "expect('ready')\nos.close(fd)\nos.kill(pid, signal.SIGHUP)\nos.waitpid(pid, 0)\nsys.exit(0)",
    );
    crate::support::wait_until("the command is gone", || {
        lab.json(&["env", "show", "a"])["running"].as_array().unwrap().is_empty()
    });
}
