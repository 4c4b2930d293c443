//! A running sandbox as the control plane finds it again: `dir/pid`.
//!
//! A process is named by its id, its start time and the machine's boot, so that an id that was
//! given to another process is never mistaken for ours, nor killed.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::OnceLock;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::sys;

const FILE: &str = "pid";
const MAKING: &str = "pid.new";

/// One process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id on the host.
    pub pid: i32,
    /// When it started, in clock ticks after boot (field 22 of proc_pid_stat(5)).
    pub start: u64,
}

/// The processes that a sandbox consists of, seen from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// PID 1 of the sandbox. With it everything inside ends.
    pub init: Process,
    /// The network stack outside, if there is one. It ends by itself after PID 1.
    pub netstack: Option<Process>,
    /// The boot of the machine that they belong to.
    pub boot: String,
}

impl Process {
    /// The process with this id, as it is now.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, start: stat(pid)?.1 })
    }

    /// Whether it is still there and not just waiting to be reaped.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_ok_and(|(state, start)| start == self.start && !b"ZX".contains(&state))
    }

    /// Sends it a signal; `false` when it is gone already.
    ///
    /// # Errors
    /// When the signal is not permitted.
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        // The descriptor pins the process before its identity is checked.
        let pidfd = match sys::pidfd(self.pid) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            found => found?,
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match sys::pidfd_kill(pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            done => done.map(|()| true),
        }
    }
}

impl Instance {
    /// The processes with these ids, as they are now.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(init: i32, netstack: Option<i32>) -> io::Result<Self> {
        let netstack = netstack.map(Process::of).transpose()?;
        Ok(Self { init: Process::of(init)?, netstack, boot: boot()? })
    }

    /// Reads `dir/pid`; `None` when no launch got that far.
    ///
    /// # Errors
    /// When the file cannot be read or is not ours.
    pub fn load(dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            content => Ok(Some(serde_json::from_slice(&content?)?)),
        }
    }

    /// Writes the file so that it is there whole or not at all. Takes a descriptor because the
    /// launcher's root is not the host's any more by then.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn store(&self, dir: impl std::os::fd::AsFd) -> io::Result<()> {
        let flags = OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = openat(&dir, MAKING, flags, Mode::from_bits_truncate(0o600))?;
        io::Write::write_all(&mut std::fs::File::from(file), &serde_json::to_vec(self)?)?;
        Ok(renameat(&dir, MAKING, &dir, FILE)?)
    }

    /// Whether PID 1 still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot) && self.init.is_alive()
    }

    /// Ends the sandbox at once: SIGKILL to PID 1, which takes everything inside with it, and to
    /// the network stack. Does not wait. `false` when there was nothing to end.
    ///
    /// # Errors
    /// When the processes belong to another user.
    pub fn kill(&self) -> io::Result<bool> {
        if boot()? != self.boot {
            return Ok(false);
        }
        let killed = self.init.signal(libc::SIGKILL)?;
        let helper = self.netstack.map_or(Ok(false), |helper| helper.signal(libc::SIGKILL))?;
        Ok(killed || helper)
    }
}

/// This boot of the machine, read once: no process outlives it.
fn boot() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot.clone());
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    Ok(BOOT.get_or_init(|| boot).clone())
}

/// State and start time. The name in parentheses may hold anything, parentheses too.
fn stat(pid: i32) -> io::Result<(u8, u64)> {
    let text = std::fs::read(format!("/proc/{pid}/stat"))?;
    let parse = || {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let state = *fields.next()?.as_bytes().first()?;
        Some((state, fields.nth(18)?.parse().ok()?))
    };
    parse().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_again_by_id_and_start_time() {
        let me = Process::of(std::process::id() as i32).unwrap();
        assert!(me.is_alive());
        assert!(!Process { start: me.start + 1, ..me }.is_alive());
        assert!(!Process { start: me.start + 1, ..me }.signal(libc::SIGKILL).unwrap());
    }

    #[test]
    fn a_directory_without_a_pid_file_holds_no_instance() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Instance::load(dir.path()).unwrap().is_none());
        let me = Instance::of(std::process::id() as i32, None).unwrap();
        me.store(std::fs::File::open(dir.path()).unwrap()).unwrap();
        assert_eq!(Instance::load(dir.path()).unwrap(), Some(me));
    }
}
