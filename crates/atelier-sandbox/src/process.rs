//! Processes by number and start time, so that a number that the kernel gave away again is not
//! mistaken for ours.

use std::fs;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The kernel's number.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start: u64,
}

impl ProcessId {
    /// Whether it still runs. A zombie does not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && state != 'Z')
    }

    /// Ends it at once and waits until the kernel has taken it down.
    ///
    /// # Errors
    /// When it may not be signalled, or still runs after five seconds.
    pub fn kill(self) -> io::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let descriptor = pidfd(self.pid)?;
        // The number may have been given away between the look and the descriptor.
        if !self.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(e) => return Err(e.into()),
        }
        wait(&descriptor, Duration::from_secs(5))
    }
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
/// When there is no such process.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and gives a new descriptor or -1.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the descriptor is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn wait(descriptor: &OwnedFd, limit: Duration) -> io::Result<()> {
    let mut fds = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, limit)? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the process does not end")),
        _ => Ok(()),
    }
}

/// State and start time. The command's name, in brackets, may hold anything, so read after it.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_apart_from_a_later_one_with_its_number() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let (_, start) = stat(pid).unwrap();
        let ours = ProcessId { pid, start };
        assert!(ours.is_alive());
        assert!(!ProcessId { pid, start: start + 1 }.is_alive());
        ProcessId { pid, start: start + 1 }.kill().unwrap();
        assert!(ours.is_alive(), "another process's identity must not end this one");
        ours.kill().unwrap();
        child.wait().unwrap();
        assert!(!ours.is_alive());
    }
}
