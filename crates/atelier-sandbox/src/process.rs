//! Waiting for the end of a sandbox's processes. Which processes these are, told apart from later
//! ones with the same numbers, is [`atelier_launch::Instance`]'s word.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use atelier_launch::Instance;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::unix::AsyncFd;

use crate::Cgroup;

/// How long the kernel may take to end every process of a sandbox.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends a sandbox at once and waits until its first process is gone, and with it every other
/// inside, and the network stack outside: its control group is busy until then.
///
/// # Errors
/// When it may not be ended, or still runs after ten seconds.
pub(crate) fn end(instance: &Instance, group: &Cgroup) -> io::Result<()> {
    // Opened first: afterwards the numbers may belong to other processes.
    let processes = [Some(instance.init), instance.netstack];
    let descriptors: Vec<OwnedFd> =
        processes.iter().flatten().filter_map(|process| pidfd(process.pid).ok()).collect();
    let killed = instance.kill()?;
    // What is frozen hears of its end only when it goes on.
    let _ = group.thaw();
    if !killed {
        return Ok(());
    }
    descriptors.iter().try_for_each(wait)
}

/// Tells whether a sandbox's first process still runs, by one system call: it is asked for each
/// request.
#[derive(Debug)]
pub struct Watch(Option<OwnedFd>);

impl Watch {
    /// Of a sandbox, which may have ended already.
    pub(crate) fn of(instance: &Instance) -> Self {
        // Opened first: what is looked at then is the process that the descriptor is of.
        let descriptor = pidfd(instance.init.pid).ok();
        Self(descriptor.filter(|_| instance.is_alive()))
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        let Some(descriptor) = &self.0 else { return false };
        let mut fds = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
    }
}

/// Waits for the end of a process.
pub(crate) async fn ended(pid: i32) {
    let Ok(descriptor) = pidfd(pid) else { return };
    // SAFETY: the descriptor is owned by what is registered and stays open until that is dropped.
    if let Ok(descriptor) = unsafe { AsyncFd::register(descriptor) } {
        let _ = descriptor.readable().await;
    }
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
/// When there is no such process.
fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and gives a new descriptor or -1.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the descriptor is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn wait(descriptor: &OwnedFd) -> io::Result<()> {
    let mut fds = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, limit)? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, "its processes do not end")),
        _ => Ok(()),
    }
}
