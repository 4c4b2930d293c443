//! What PID 1 gives up before it serves: capabilities, new privileges, core files.
//!
//! The system call filter is in [`crate::filter`].

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::{At as _, Result};
use crate::sys;

/// What uid 0 keeps inside (linux/capability.h): Docker's default set without MKNOD and
/// AUDIT_WRITE. All of it acts on the sandbox's own files, processes and network.
const KEPT: u64 = 1 << 0 // CHOWN
    | 1 << 1 // DAC_OVERRIDE
    | 1 << 3 // FOWNER
    | 1 << 4 // FSETID
    | 1 << 5 // KILL
    | 1 << 6 // SETGID
    | 1 << 7 // SETUID
    | 1 << 8 // SETPCAP
    | 1 << 10 // NET_BIND_SERVICE
    | 1 << 13 // NET_RAW
    | 1 << 18 // SYS_CHROOT
    | 1 << 31; // SETFCAP

/// What root of an image keeps besides: whoever logs people in writes to the audit log, and
/// `sudo` complains when it can't. With it, this is Docker's default set without MKNOD.
const KEPT_IN_IMAGES: u64 = KEPT | 1 << 29; // AUDIT_WRITE

/// The same for the root of an image, whether it is root outside or not: a user namespace would
/// allow all of them, but with them comes a much larger part of the kernel to attack.
pub fn drop_image_capabilities() -> Result<()> {
    limit_capabilities(KEPT_IN_IMAGES)
}

/// Drops every capability that is not needed inside: root keeps [`KEPT`], a user none.
pub fn drop_capabilities() -> Result<()> {
    limit_capabilities(if nix::unistd::geteuid().is_root() { KEPT } else { 0 })
}

/// Drops all of them: for the helper outside.
pub fn drop_all_capabilities() -> Result<()> {
    if nix::unistd::geteuid().is_root() { limit_capabilities(0) } else { Ok(()) }
}

fn limit_capabilities(kept: u64) -> Result<()> {
    let step = "drop capabilities";
    let bounding = libc::PR_CAPBSET_DROP;
    for capability in (0..64).filter(|bit| kept & (1 << bit) == 0) {
        match sys::prctl(bounding, capability) {
            // One past the last that this kernel has.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            done => done.step(step)?,
        }
    }
    sys::clear_ambient().step(step)?;
    sys::capset(kept).step(step)
}

/// No program gains anything from being set-user-id, and no file capability counts.
pub fn no_new_privileges() -> Result<()> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).step("forbid new privileges")
}

/// Nobody inside looks into PID 1: through `/proc/1/exe` and `/proc/1/fd` a process with the same
/// user id could reach files of the host. Programs that PID 1 starts are not affected.
pub fn shut_from_inside() -> Result<()> {
    sys::prctl(libc::PR_SET_DUMPABLE, 0).step("protect PID 1")
}

/// No core files by default: they would land in the workspace.
pub fn limit_core() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).step("read the limit of core files")?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard).step("limit core files")
}
