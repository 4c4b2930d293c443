//! A terminal: Python's pty module plays the user's.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Done, Lab};

/// Runs the binary in a terminal of 31 lines and 97 columns; `play` is Python that talks to it
/// through the functions `expect(text)` and `type(text)`.
pub fn in_terminal(lab: &Lab, args: &[&str], play: &str) -> Done {
    terminal_of(&lab.command(args), &lab.project, play)
}

/// The same with any program, in the folder `cwd`.
pub fn terminal_of(template: &Command, cwd: &Path, play: &str) -> Done {
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
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).arg(template.get_program()).args(template.get_args());
    python.env_clear().current_dir(cwd).stdin(Stdio::null());
    for (key, value) in template.get_envs() {
        if let Some(value) = value {
            python.env(key, value);
        }
    }
    python.env("TERM", "xterm");
    Done::of(python.output().unwrap())
}
