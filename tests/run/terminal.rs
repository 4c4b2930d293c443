//! With a terminal: as with ssh. Python's pty module plays the user's terminal.

use std::process::{Command, Stdio};

use crate::support::{Done, Lab};

/// Runs the binary in a terminal of 31 lines and 97 columns; `play` is Python that talks to it
/// through the functions `expect(text)` and `type(text)`.
fn in_terminal(lab: &Lab, args: &[&str], play: &str) -> Done {
    let script = format!(
        r#"
import fcntl, os, pty, select, signal, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
def resize(rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
resize(31, 97)
seen = b''
def expect(text, patience=30):
    global seen
    end = time.time() + patience
    while text.encode() not in seen:
        if time.time() > end: sys.exit('did not see %r in %r' % (text, seen))
        if select.select([fd], [], [], 0.1)[0]:
            try: seen += os.read(fd, 65536)
            except OSError: break
    if text.encode() not in seen: sys.exit('ended without %r in %r' % (text, seen))
    seen = seen.split(text.encode(), 1)[1]
def type(text):
    os.write(fd, text.encode())
{play}
while True:
    try:
        if not os.read(fd, 65536): break
    except OSError: break
_, status = os.waitpid(pid, 0)
print('status', os.waitstatus_to_exitcode(status))
"#
    );
    let template = lab.command(args);
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).arg(template.get_program()).args(template.get_args());
    python.env_clear().current_dir(&lab.project).stdin(Stdio::null());
    for (key, value) in template.get_envs() {
        python.env(key, value.unwrap());
    }
    python.env("TERM", "xterm");
    Done::of(python.output().unwrap())
}

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
