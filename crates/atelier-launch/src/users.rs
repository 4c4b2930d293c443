//! The user namespace of a sandbox with an image: root inside is nobody outside.
//!
//! Made by the launcher before PID 1, because its own powers outside are needed: to map ids that
//! are not its own, and to lend the image's files those ids ([`crate::pieces`]). What an ordinary
//! user may map is in [`crate::subid`].

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::{set_dumpable, set_keepcaps, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid, getppid, setgroups, setresgid, setresuid};

use crate::error::{At as _, LaunchError, Result};
use crate::launch::in_child;
use crate::subid::Lent;
use crate::sys;

/// How many ids a sandbox has.
pub const COUNT: u32 = 65_536;
/// The first id of the first range that we take. systemd's UIDS-GIDS.md calls 0x7000_0000 up to
/// 0x7FFD_FFFF unused: below it lie its containers', above it its foreign ids.
const FIRST: u32 = 0x7000_0000;
const RANGES: u32 = 0x0FFE;
/// In this file the byte of each range that is taken is locked by PID 1. One file for all of this
/// machine.
const LOCKS: &str = "/run/atelier-ids.lock";
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// A user namespace that a sandbox will have.
pub struct Users {
    fd: OwnedFd,
    /// The id outside of root inside.
    pub first: u32,
    /// Whether there is anybody but root inside.
    pub many: bool,
    /// Keeps other sandboxes off the range of ids.
    pub range: Option<File>,
}

impl AsFd for Users {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Users {
    /// Makes one as root: with the range of ids from `base`, or one that nobody has.
    pub fn of_root(base: Option<u32>) -> Result<Self> {
        if let Some(masked) = masked_proc() {
            let why = format!("{masked} is masked, so the kernel refuses a new /proc there");
            return Err(LaunchError::new("make a user namespace", why));
        }
        let (base, range) = match base {
            Some(base) => (base, None),
            None => take_range(),
        };
        let fd = make(Some(base), |holder| {
            let line = format!("0 {base} {COUNT}");
            write_map(holder, "uid_map", &line)?;
            write_map(holder, "gid_map", &line)
        })?;
        Ok(Self { fd, first: base, many: true, range })
    }

    /// Makes one as an ordinary user, who is root inside. With subordinate ids there are others
    /// too; without, that is noted.
    pub fn of_user(notes: &mut Vec<String>) -> Result<Self> {
        let first = nix::unistd::geteuid().as_raw();
        let lent = Lent::find().and_then(|lent| {
            make(None, |holder| lent.map(holder)).map_err(|error| error.to_string())
        });
        let why = match lent {
            Ok(fd) => return Ok(Self { fd, first, many: true, range: None }),
            Err(why) => why,
        };
        let fd = make(None, |holder| {
            write_map(holder, "setgroups", "deny")?;
            write_map(holder, "uid_map", &format!("0 {} 1", nix::unistd::geteuid()))?;
            write_map(holder, "gid_map", &format!("0 {} 1", nix::unistd::getegid()))
        })?;
        notes.push(format!(
            "only root exists inside, so other users and some package installations don't work: \
             {why}"
        ));
        Ok(Self { fd, first, many: false, range: None })
    }

    /// Enters it, with all powers inside and none outside.
    pub fn enter(&self) -> Result<()> {
        let step = "enter the user namespace";
        let caller = getppid();
        setns(&self.fd, CloneFlags::CLONE_NEWUSER).step(step)?;
        // Both were undone by the kernel with the change of powers.
        set_dumpable(true).step(step)?;
        set_pdeathsig(Signal::SIGKILL).step("follow the caller")?;
        if getppid() == caller { Ok(()) } else { Err(LaunchError::new(step, "the caller is gone")) }
    }
}

/// Becomes root of the user namespace that we are in: until then our ids are none of its.
pub fn become_root(many: bool) -> Result<()> {
    let become_root = || {
        if many {
            setgroups(&[])?; // where only root exists, the kernel allows no change
        }
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)
    };
    become_root().step("become root inside")
}

/// The namespace lives as long as a process in it or a descriptor of it: a child makes it and
/// waits until we have mapped its ids.
fn make(owner: Option<u32>, map: impl FnOnce(Pid) -> Result<()>) -> Result<OwnedFd> {
    let (mut ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    let pid = in_child(|| hold(theirs, owner)).step("fork")?;
    let fd = read_errno(&mut ours)
        .step("make a user namespace")
        .map_err(|error| error.hint("`atelier doctor` says what this machine lacks for it."))
        .and_then(|()| map(pid))
        .and_then(|()| {
            let path = Path::new("/proc").join(pid.to_string()).join("ns/user");
            open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).at("open", &path)
        });
    drop(ours); // which ends the child; whoever inherits our children takes its leave
    fd
}

fn read_errno(line: &mut UnixStream) -> io::Result<()> {
    let mut errno = [0; 4];
    line.read_exact(&mut errno)?;
    match i32::from_ne_bytes(errno) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The child that makes the namespace. Whoever makes one owns it, and what is counted for each
/// user (inotify instances, locked memory, processes) is counted for the owner too. So as root
/// it is made by the first id of its range: no sandbox uses up what root or another one has.
fn hold(mut line: UnixStream, owner: Option<u32>) {
    let make = || {
        sys::close_all_but(&[line.as_raw_fd()])?; // the other end of the line among them
        if let Some(id) = owner {
            let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
            set_keepcaps(true)?;
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
            sys::capset(CAP_SYS_ADMIN)?;
        }
        Ok::<_, io::Error>(unshare(CloneFlags::CLONE_NEWUSER)?)
    };
    let errno = make().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
    drop(line.write_all(&errno.to_ne_bytes()));
    drop(line.read(&mut [0]));
}

fn write_map(holder: Pid, file: &str, content: &str) -> Result<()> {
    let path = Path::new("/proc").join(holder.to_string()).join(file);
    std::fs::write(&path, content).at("write", &path)
}

/// A range that no sandbox of this machine uses. Where no lock can be kept, the process id tells
/// ranges apart well enough.
fn take_range() -> (u32, Option<File>) {
    let start = std::process::id() % RANGES;
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let Ok(file) = options.open(LOCKS) else { return (FIRST + start * COUNT, None) };
    let mut slots = (0..RANGES).map(|step| (start + step) % RANGES);
    // The lock is the open file's, so it goes with it to PID 1.
    match slots.find(|slot| sys::lock_byte(&file, *slot).is_ok()) {
        Some(slot) => (FIRST + slot * COUNT, Some(file)),
        None => (FIRST + start * COUNT, None),
    }
}

/// Container engines mount over parts of /proc; where they did, only the real root may mount a
/// new one.
fn masked_proc() -> Option<&'static str> {
    let usual = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sys", "/proc/acpi"];
    usual.into_iter().find(|path| sys::is_mount_point(Path::new(path)))
}

/// Checks a base that a spec names.
pub fn check_base(base: u32) -> Result<()> {
    // The last id, -1, means "leave as it is" to the kernel.
    if base >= COUNT && base.checked_add(COUNT).is_some() {
        return Ok(());
    }
    let why = "it must leave the machine's own ids alone: 65536 or more, and room for 65536";
    Err(LaunchError::new(&format!("use the ids from {base}"), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_ids_are_never_lent() {
        assert!(check_base(0).is_err());
        assert!(check_base(1000).is_err());
        assert!(check_base(u32::MAX - 65_535).is_err());
        assert!(check_base(FIRST).is_ok());
    }

    #[test]
    fn every_range_ends_before_the_ids_that_systemd_uses() {
        assert_eq!(FIRST + RANGES * COUNT, 0x7FFE_0000);
    }
}
