//! Asks the user's systemd for a control group of our own: a transient scope with `Delegate=yes`
//! around this process. Without it an ordinary user can set no limits
//! (<https://systemd.io/CGROUP_DELEGATION/>; the call is that of `systemd-run --user --scope`, which
//! would have to start us anew).

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::SandboxError;
use crate::command::run;

/// How long systemd may take to move this process.
const PATIENCE: Duration = Duration::from_secs(3);

/// Puts this process into a scope of its own. Comes back when the kernel says that it is there.
///
/// # Errors
/// When there is no `busctl`, no systemd of the user, or it refuses.
pub(super) fn enter(name: &str) -> Result<(), SandboxError> {
    let pid = std::process::id().to_string();
    let unit = format!("{name}-{pid}.scope");
    let before = own_group();
    let mut command = Command::new("busctl");
    command
        .args(["--user", "--quiet", "call", "org.freedesktop.systemd1"])
        .args(["/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"])
        .args(["StartTransientUnit", "ssa(sv)a(sa(sv))", &unit, "fail", "3"])
        .args(["Description", "s", "Atelier control plane and sandboxes"])
        .args(["PIDs", "au", "1", &pid])
        .args(["Delegate", "b", "true", "0"]);
    run(command)?;
    let begin = Instant::now();
    while own_group() == before {
        if begin.elapsed() > PATIENCE {
            return Err(SandboxError::Start {
                runtime: "host",
                reason: format!("systemd made no scope {unit} within 3 seconds"),
                remedy: None,
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn own_group() -> Option<String> {
    fs::read_to_string("/proc/self/cgroup").ok()
}
