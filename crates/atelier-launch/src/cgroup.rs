//! Entering the sandbox's cgroups without waiting for the kernel.
//!
//! Moving a process waits for every CPU to pass a quiet state: about ten milliseconds, more than
//! the rest of a launch. Two ways around it: in the first version's hierarchies a thread may move
//! itself without that wait, and in the second a process can be born where it belongs.
//! Making cgroups and setting limits is the control plane's.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::{At as _, Result};
use crate::sys;

/// Enters every cgroup. In a cgroup of the second version the caller goes on as a child of
/// itself, while the original waits for it and ends as it ends.
pub fn enter(cgroups: &[PathBuf]) -> Result<()> {
    let step = "enter the cgroup";
    for cgroup in cgroups {
        let tasks = cgroup.join("tasks"); // the first version's list of threads
        if tasks.exists() {
            std::fs::write(&tasks, b"0").at(step, cgroup)?;
        } else if be_born_in(cgroup).is_err() {
            std::fs::write(cgroup.join("cgroup.procs"), b"0").at(step, cgroup)?;
        }
    }
    Ok(())
}

fn be_born_in(cgroup: &Path) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir: OwnedFd = open(cgroup, flags, Mode::empty())?;
    let child = sys::fork_into(dir.as_raw_fd())?;
    if child == 0 {
        // What the original promised its caller holds for this process too.
        return Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?);
    }
    let code = match waitpid(Pid::from_raw(child), None) {
        Ok(WaitStatus::Exited(_, code)) => code,
        _ => 1,
    };
    // SAFETY: the child has flushed what there was to flush.
    unsafe { libc::_exit(code) }
}
