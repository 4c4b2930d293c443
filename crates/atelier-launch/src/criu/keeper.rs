//! PID 1 of a sandbox whose processes can be saved: it holds what belongs to this machine (the
//! locks, the line to the network stack) and is not saved itself. The guest is its one child.

use std::os::fd::{AsRawFd as _, RawFd};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};

use crate::error::{At as _, LaunchError, Result};
use crate::launch::{Served, in_child};
use crate::sys;

/// The guest's id among the processes of the sandbox.
pub const GUEST_PID: i32 = 2;

/// Starts the guest, which alone serves.
pub(crate) fn start(served: Served, serve: &dyn Fn(Served)) -> Result<()> {
    let child = in_child(|| {
        let kept: [RawFd; 1] = [served.listener.as_raw_fd()];
        let ready = sys::close_all_but(&kept)
            .and_then(|()| sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1))
            .and_then(|()| Ok(setsid()?));
        match ready {
            Ok(_) => serve(served),
            Err(error) => eprintln!("guest: {error}"),
        }
    })
    .step("fork the guest")?;
    if child.as_raw() == GUEST_PID {
        return Ok(());
    }
    Err(LaunchError::new("fork the guest", format!("it is process {child}")))
}

/// Tells a guest that was brought back to serve again.
pub(crate) fn wake() {
    // One that is gone already is noticed by [`keep`].
    let _ = kill(Pid::from_raw(GUEST_PID), super::park::signal(super::UNPARK));
}

/// Returns when the guest has ended.
pub fn keep() {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => {
                if pid.as_raw() == GUEST_PID {
                    return;
                }
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
