//! Starts one process: its descriptors, its terminal, its user, its session.
//!
//! Nothing here waits for it or reads from it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::super::users::Credentials;
use crate::wire::{PtySize, Stream};

/// The last signal that is not a real-time one.
const LAST_PLAIN_SIGNAL: i32 = 31;

/// What to start.
pub(super) struct Plan {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) folder: PathBuf,
    /// None when it runs as the guest does.
    pub(super) credentials: Option<Credentials>,
    pub(super) terminal: Option<PtySize>,
    pub(super) stdin: bool,
}

/// What was started. All descriptors are non-blocking.
pub(super) struct Spawned {
    pub(super) pid: u32,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) outputs: Vec<(Stream, OwnedFd)>,
    pub(super) terminal: Option<OwnedFd>,
}

/// Starts it as the leader of a session of its own.
///
/// # Errors
/// What `fork`, `exec` or the terminal failed with.
pub(super) fn spawn(plan: &Plan) -> io::Result<Spawned> {
    let mut command = Command::new(&plan.program);
    command.args(&plan.arguments).current_dir(&plan.folder);
    command.env_clear().envs(plan.environment.iter().map(|(key, value)| (key, value)));
    match plan.terminal {
        Some(size) => spawn_in_terminal(command, plan, size),
        None => spawn_with_pipes(command, plan),
    }
}

fn spawn_with_pipes(mut command: Command, plan: &Plan) -> io::Result<Spawned> {
    let stdin = if plan.stdin { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepare_child(&mut command, plan, false);
    let mut child = command.spawn()?;
    let mut outputs = Vec::with_capacity(2);
    if let Some(stdout) = child.stdout.take() {
        outputs.push((Stream::Stdout, nonblocking(stdout.into())?));
    }
    if let Some(stderr) = child.stderr.take() {
        outputs.push((Stream::Stderr, nonblocking(stderr.into())?));
    }
    let stdin = child.stdin.take().map(|pipe| nonblocking(pipe.into())).transpose()?;
    Ok(Spawned { pid: child.id(), stdin, outputs, terminal: None })
}

fn spawn_in_terminal(mut command: Command, plan: &Plan, size: PtySize) -> io::Result<Spawned> {
    let (ours, theirs) = open_terminal(size)?;
    if let Some(user) = &plan.credentials {
        // So that the user can open the terminal by its name. A terminal of another user
        // namespace cannot be given away, and works through its descriptors all the same.
        let _ = std::os::unix::fs::fchown(&theirs, Some(user.uid), None);
    }
    command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
    prepare_child(&mut command, plan, true);
    let child = command.spawn()?;
    drop(command);
    let terminal = nonblocking(ours)?;
    let outputs = vec![(Stream::Pty, terminal.try_clone()?)];
    Ok(Spawned { pid: child.id(), stdin: None, outputs, terminal: Some(terminal) })
}

fn prepare_child(command: &mut Command, plan: &Plan, terminal: bool) {
    let credentials = plan.credentials.clone();
    // SAFETY: the closure runs between fork and exec and makes only system calls that are
    // async-signal-safe; what it reads was allocated before the fork.
    unsafe {
        command.pre_exec(move || {
            // What whoever started the guest ignored is not the process's to ignore: without this, a
            // guest that was started in the background has processes that ^C does not reach.
            for number in 1..=LAST_PLAIN_SIGNAL {
                libc::signal(number, libc::SIG_DFL);
            }
            nix::unistd::setsid()?;
            if terminal && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            if let Some(user) = &credentials {
                user.assume()?;
            }
            Ok(())
        });
    }
}

/// Both ends of a new terminal: ours, and the process's.
fn open_terminal(size: PtySize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string, and a descriptor that was returned is owned by nobody else.
    let ours = unsafe { owned(libc::open(c"/dev/ptmx".as_ptr(), flags))? };
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int through the pointer.
    check(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) })?;
    // Asked of our end rather than opened by name: it works where /dev/pts is another namespace's.
    // SAFETY: TIOCGPTPEER takes flags and returns a new descriptor.
    let theirs = unsafe { owned(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags))? };
    resize(&ours, size)?;
    Ok((ours, theirs))
}

/// Gives a terminal another size; the kernel tells its foreground processes.
pub(super) fn resize(terminal: &OwnedFd, size: PtySize) -> io::Result<()> {
    let clamp = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
    let size = libc::winsize {
        ws_row: clamp(size.rows),
        ws_col: clamp(size.cols),
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one winsize through the pointer.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

/// The process group in a terminal's foreground.
pub(super) fn foreground(terminal: &OwnedFd) -> Option<i32> {
    let mut group: libc::pid_t = 0;
    // SAFETY: TIOCGPGRP writes one pid_t through the pointer.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGPGRP, &raw mut group) }).ok()?;
    (group > 0).then_some(group)
}

/// How many bytes wait to be read.
pub(super) fn waiting(output: &OwnedFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int through the pointer.
    let asked = check(unsafe { libc::ioctl(output.as_raw_fd(), libc::FIONREAD, &raw mut bytes) });
    asked.ok().and_then(|()| u64::try_from(bytes).ok()).unwrap_or(0)
}

fn nonblocking(fd: OwnedFd) -> io::Result<OwnedFd> {
    let raw = fd.as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL take and return plain numbers on a descriptor that is open.
    check(unsafe {
        libc::fcntl(raw, libc::F_SETFL, libc::fcntl(raw, libc::F_GETFL) | libc::O_NONBLOCK)
    })?;
    Ok(fd)
}

/// # Safety
/// `fd` is negative, or open and owned by nobody.
unsafe fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: as the caller promised.
    Ok(unsafe { File::from_raw_fd(fd) }.into())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
