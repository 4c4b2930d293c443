//! Before processes are saved the guest lets go of its connections: their other ends are
//! processes of this machine, and not saved. It takes up new ones when it is told to.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::GUEST_PID;
use crate::error::{At as _, LaunchError, Result};

/// The signal upon which a guest closes its connections and takes no more.
pub const PARK: i32 = libc::SIGUSR1;
/// The signal upon which it takes connections again.
pub const UNPARK: i32 = libc::SIGUSR2;

const STEP: &str = "have the guest close its connections";
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn signal(number: i32) -> Signal {
    if number == PARK { Signal::SIGUSR1 } else { Signal::SIGUSR2 }
}

/// Has the guest of the sandbox with this PID 1 close its connections, and waits until it has.
///
/// # Errors
/// When it does not.
pub fn park(init: i32) -> Result<()> {
    let guest = guest_of(init)?;
    kill(guest, signal(PARK)).step(STEP)?;
    let until = Instant::now() + PATIENCE;
    while has_outside(guest)? {
        if Instant::now() > until {
            let _ = unpark(init);
            return Err(LaunchError::new(STEP, "it has some after five seconds"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Has it take connections again; at once, or when it is not frozen any more.
pub(super) fn unpark(init: i32) -> Result<()> {
    kill(guest_of(init)?, signal(UNPARK)).step("have the guest serve again")
}

/// The guest's id on this machine.
pub(super) fn guest_of(init: i32) -> Result<Pid> {
    let path = format!("/proc/{init}/task/{init}/children");
    let children = std::fs::read_to_string(&path).at("read", Path::new(&path))?;
    let inside = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        line.and_then(|ids| ids.split_whitespace().next_back()?.parse().ok()) == Some(GUEST_PID)
    };
    let mut children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.find(inside).map(Pid::from_raw).ok_or_else(|| {
        LaunchError::new("find the guest", "it was started so that it can't be saved")
            .hint("Stop the sandbox and start it again.")
    })
}

/// Whether it has a socket of this machine's network namespace: those of its own are listed in
/// its `/proc/net`.
fn has_outside(guest: Pid) -> Result<bool> {
    let folder = format!("/proc/{guest}");
    let mut own = HashSet::new();
    for (table, column) in
        [("unix", 6), ("tcp", 9), ("tcp6", 9), ("udp", 9), ("udp6", 9), ("netlink", 9)]
    {
        let text = std::fs::read_to_string(format!("{folder}/net/{table}")).unwrap_or_default();
        let lines = text.lines().skip(1);
        own.extend(lines.filter_map(|line| Some(line.split_whitespace().nth(column)?.to_owned())));
    }
    let fds = std::fs::read_dir(format!("{folder}/fd")).step(STEP)?;
    let links = fds.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    Ok(links.filter_map(|to| socket(&to)).any(|inode| !own.contains(&inode)))
}

/// The inode in `socket:[123]`.
fn socket(link: &Path) -> Option<String> {
    let text = link.to_str()?;
    Some(text.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
}
