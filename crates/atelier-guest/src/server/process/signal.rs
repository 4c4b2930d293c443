//! Signals: to the group that a process leads, to what is in a terminal's foreground, or to the
//! whole session.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::reap::pid_of;
use super::{Process, Table, spawn};

/// Sends a signal; says whether anything received it.
///
/// A process without a terminal is a group. In a terminal, a shell gives each of its jobs a group
/// of its own: what a person would type goes to the foreground, what ends things goes to all.
pub(super) fn send(process: &Process, number: i32) -> bool {
    if process.has_exited() {
        return false;
    }
    match (process.terminal(), number) {
        (Some(_), libc::SIGHUP | libc::SIGTERM | libc::SIGKILL) => {
            let members = session(process.pid);
            // A stopped job gets to know that it is to end only when it goes on.
            let wake = number != libc::SIGKILL;
            members.iter().fold(false, |any, pid| {
                let sent = send_raw(Pid::from_raw(*pid), number);
                if wake {
                    send_raw(Pid::from_raw(*pid), libc::SIGCONT);
                }
                any | sent
            })
        }
        (Some(terminal), _) => {
            let group = spawn::foreground(terminal.get_ref());
            let group = group.unwrap_or_else(|| pid_of(process.pid).as_raw());
            send_raw(Pid::from_raw(-group), number)
        }
        (None, _) => send_raw(Pid::from_raw(-pid_of(process.pid).as_raw()), number),
    }
}

/// Ends a process that no table knows, and takes its status.
pub(super) fn kill_untracked(pid: u32) {
    send_raw(pid_of(pid), libc::SIGKILL);
    let _ = nix::sys::wait::waitpid(pid_of(pid), None);
}

fn send_raw(target: Pid, number: i32) -> bool {
    // SAFETY: kill takes two numbers. Real-time signals have no name in nix's enum.
    let sent = unsafe { libc::kill(target.as_raw(), number) };
    sent == 0
}

/// Every process of a session.
fn session(leader: u32) -> Vec<i32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return vec![pid_of(leader).as_raw()] };
    let mut members: Vec<i32> = all
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| session_of(*pid) == Some(leader))
        .collect();
    if members.is_empty() {
        members.push(pid_of(leader).as_raw());
    }
    members
}

fn session_of(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; after it: state, parent, group, session.
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

impl Table {
    /// Ends everything: SIGTERM, and SIGKILL for what still runs after `grace`.
    pub(in super::super) async fn end_all(&self, grace: Duration) {
        self.signal_all(libc::SIGTERM);
        let ended = async {
            while !self.running().iter().all(|process| process.has_exited()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            self.signal_all(libc::SIGKILL);
        }
    }

    fn signal_all(&self, number: i32) {
        for process in self.running() {
            send(&process, number);
        }
        // PID 1 ends orphans as well: everything that it can see.
        if std::process::id() == 1 {
            let signal = nix::sys::signal::Signal::try_from(number).ok();
            let _: Result<(), Errno> = kill(Pid::from_raw(-1), signal);
        }
    }
}
