//! Processes of a sandbox saved and brought back by CRIU (<https://criu.org>).
//!
//! CRIU is run inside all of the sandbox's namespaces, so what it sees and saves is processes and
//! nothing else: mounts, network and names are the launcher's, before and after. What a sandbox
//! wrote must not become part of CRIU itself, which has this machine's powers while it saves. So
//! it is loaded outside, and steps into the sandbox's mounts when all of its libraries are there
//! (`step.rs`); it reads no settings and no plugins.

mod inventory;
mod keeper;
mod park;
mod restore;
mod save;
mod step;

use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::ptrace;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chroot, dup2_stderr, dup2_stdin, dup2_stdout, execve};
use serde::{Deserialize, Serialize};

use crate::error::{At as _, LaunchError, Result};
use crate::wire;

pub use keeper::GUEST_PID;
pub(crate) use keeper::{keep, start, wake};
pub use park::{PARK, UNPARK, park};
pub(crate) use restore::Prepared;
pub use save::{SaveRequest, Saved, save};

/// CRIU as it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criu {
    /// The root of the distribution that it belongs to, whose libraries it has.
    #[serde(with = "wire::path")]
    pub root: PathBuf,
    /// The program, seen from that root.
    #[serde(with = "wire::path")]
    pub program: PathBuf,
}

/// The input of `atelier-guest save`: one of two steps, between which the sandbox is frozen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Has the guest of the sandbox with this PID 1 close its connections.
    Park(i32),
    /// Saves.
    Save(SaveRequest),
}

/// What it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is not, and nothing has happened to the sandbox.
    Failed(LaunchError),
}

/// Does what a request says. It goes on when whoever asked is gone: what it has stopped must go
/// on too.
pub fn answer(request: std::io::Result<&[u8]>) -> Answer {
    let step = "read the request";
    let request = request.step(step).and_then(|text| {
        serde_json::from_slice(text).map_err(|error| LaunchError::new(step, error.to_string()))
    });
    let done = request.and_then(|request| {
        save::alone()?;
        match request {
            Request::Park(init) => park(init),
            Request::Save(request) => save(&request),
        }
    });
    done.map_or_else(Answer::Failed, |()| Answer::Done)
}

/// How it is run.
pub(crate) struct Run<'a> {
    /// Words after the program's name.
    pub words: Vec<String>,
    /// The mounts that it works in.
    pub mounts: &'a OwnedFd,
    /// What it inherits.
    pub keep: Vec<BorrowedFd<'a>>,
    /// A folder in memory where it keeps what it has found out about the kernel: it looks with
    /// files of its own, which it can't make among those of a sandbox.
    pub known: Option<&'a OwnedFd>,
    /// Where its words go.
    pub log: BorrowedFd<'a>,
    /// The id that it has among the sandbox's processes, if that matters.
    pub pid: Option<i32>,
    /// Whether it becomes root of the user namespace that we are in first; and whether there is
    /// anybody but root in it.
    pub root: Option<bool>,
    /// The user on this machine that it becomes, with all powers that we have: the owner of the
    /// sandbox's user namespace has every power over it, be it one that we lack.
    pub owner: Option<u32>,
}

impl Criu {
    /// Runs it, and says what it said when it fails.
    pub(crate) fn run(&self, step: &str, run: &Run<'_>) -> Result<()> {
        let child = match run.pid {
            Some(pid) => crate::sys::fork_as(pid),
            None => crate::sys::fork_plain(),
        };
        let child = child.step("fork")?;
        if child == 0 {
            let error = self.become_criu(run);
            eprintln!("Error (atelier): {error}");
            // SAFETY: ends the process without running what belongs to the parent.
            unsafe { libc::_exit(127) }
        }
        let child = Pid::from_raw(child);
        let entered = step::into(child, run.mounts);
        if entered.is_err() {
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
        }
        let status = waitpid(child, None).step("wait for CRIU")?;
        entered?;
        match status {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, code) => {
                Err(LaunchError::new(step, format!("CRIU ended with {code}")))
            }
            other => Err(LaunchError::new(step, format!("CRIU was ended: {other:?}"))),
        }
    }

    fn become_criu(&self, run: &Run<'_>) -> LaunchError {
        let become_it = || {
            let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
                .step("open /dev/null")?;
            dup2_stdin(&null).step("detach")?;
            dup2_stdout(run.log).step("detach")?;
            dup2_stderr(run.log).step("detach")?;
            let others = run.known.into_iter().chain([run.mounts]).map(|fd| fd.as_fd());
            for fd in run.keep.iter().copied().chain(others) {
                fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).step("hand over a file")?;
            }
            if self.root != Path::new("/") {
                chroot(&self.root).at("enter", &self.root)?;
            }
            nix::unistd::chdir("/").step("enter the root")?;
            if let Some(many) = run.root {
                crate::users::become_root(many)?;
            }
            if let Some(owner) = run.owner {
                crate::sys::become_with_powers(owner).step("become the owner of the users")?;
            }
            let text = |bytes: &[u8]| CString::new(bytes).step("name a file");
            let program = text(self.program.as_os_str().as_bytes())?;
            let mut words = vec![program.clone()];
            for word in &run.words {
                words.push(text(word.as_bytes())?);
            }
            ptrace::traceme().step("be watched")?;
            let mut variables = Vec::new();
            if let Some(folder) = run.known {
                let place = format!("XDG_RUNTIME_DIR={}", place(folder.as_raw_fd()));
                variables.push(text(place.as_bytes())?);
            }
            execve(&program, &words, &variables).at("run", &self.program)?;
            Ok(())
        };
        let done: Result<()> = become_it();
        done.err().unwrap_or_else(|| LaunchError::new("run CRIU", "it did not start"))
    }
}

/// How a program finds a file that it has inherited.
pub(crate) fn place(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// What CRIU is told in both directions.
pub(crate) fn usual(images: &OwnedFd, nothing: &OwnedFd) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    words.extend(["--images-dir".into(), place(images.as_raw_fd())]);
    // Plugins are programs: those of the sandbox are not ours.
    words.extend(["--libdir".into(), place(nothing.as_raw_fd())]);
    let flags = [
        "--no-default-config",
        "--manage-cgroups=ignore",
        "--file-locks",
        "--tcp-established",
        "-v1",
    ];
    words.extend(flags.map(String::from));
    words
}

pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).at("open", path)
}

/// The last complaints of CRIU in what it wrote: why it failed.
#[must_use]
pub fn complaints(log: &str) -> String {
    // A limit that it can't raise for itself is no reason, though it calls it an error.
    let is_reason = |line: &&str| line.contains("Error (") && !line.contains("RLIMIT_NOFILE");
    let errors: Vec<&str> = log.lines().filter(is_reason).collect();
    let last = errors.iter().rev().take(3).rev();
    last.map(|line| line.trim()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::complaints;

    #[test]
    fn the_last_complaints_say_why() {
        let log = "Warn  (criu/a.c:1): hm\n(00.1) Error (criu/x.c:2): no\nfine\n\
                   Error (criu/y.c:3): Dumping FAILED.\n";
        assert_eq!(
            complaints(log),
            "(00.1) Error (criu/x.c:2): no; Error (criu/y.c:3): Dumping FAILED."
        );
        assert_eq!(complaints("all is well"), "");
    }
}
