//! Takes the statuses of children that ended, and hands those of ours to the table.

use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::Signal;

use super::super::state::Server;
use super::Exit;

/// Reaps for as long as it runs. `children` is the stream of SIGCHLD.
pub(in super::super) async fn reap(server: Rc<Server>, mut children: Signal) {
    loop {
        if server.options.reap_all {
            while let Some(more) = take(&server, Pid::from_raw(-1)) {
                if !more {
                    break;
                }
            }
        } else {
            for process in server.processes.running() {
                if !process.has_exited() {
                    take(&server, pid_of(process.pid));
                }
            }
        }
        if children.recv().await.is_none() {
            return;
        }
    }
}

/// Takes one status; None when there is no child at all, false when none has ended.
fn take(server: &Server, which: Pid) -> Option<bool> {
    let (pid, exit) = match waitpid(which, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
        Ok(WaitStatus::Signaled(pid, signal, dumped)) => {
            (pid, Exit::Signal { number: signal as i32, dumped })
        }
        Ok(WaitStatus::StillAlive) => return Some(false),
        // A real-time signal, which has no name there.
        Err(Errno::EINVAL) => return Some(true),
        Err(_) => return None,
        Ok(_) => return Some(true),
    };
    server.processes.exited(pid.as_raw().unsigned_abs(), exit);
    Some(true)
}

/// A process's number as the system takes it.
pub(super) fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}
