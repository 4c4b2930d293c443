//! Before a machine is frozen, of which copies will be made: what every copy would do with its first
//! command is done once.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What nearly every command needs: the shell, the loader, the C library.
const SHELL: &str = "/bin/sh";
/// How long an image's shell may take; one that hangs is not waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// Runs the shell once, so that what it reads of the disk is in memory. An image without one has
/// nothing to warm.
pub(super) fn up() {
    let mut shell = Command::new(SHELL);
    shell.args(["-c", "command -v true >/dev/null; /bin/true"]).env_clear();
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = shell.spawn() else { return };
    let until = Instant::now() + LIMIT;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        sleep(Duration::from_millis(1));
    }
}
