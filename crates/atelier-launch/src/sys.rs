//! System calls that nix does not wrap, each as one small function that owns its `unsafe`.
//!
//! No policy here: who calls decides what for.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Read-only, as an attribute of a mount.
pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// No set-user-id programs, no device nodes: on everything that the launcher mounts.
pub const SAFE: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)? as RawFd;
    // SAFETY: the kernel just returned this descriptor to us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens `path` as if `root` were `/`: no symbolic link, absolute or not, leads out of it.
pub fn open_in_root(root: impl AsFd, path: &Path, flags: i32) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: open_how is plain data for which all-zero is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = if flags & libc::O_CREAT == 0 { 0 } else { 0o644 };
    how.resolve = libc::RESOLVE_IN_ROOT;
    let size = size_of_val(&how);
    let root = root.as_fd().as_raw_fd();
    // SAFETY: the pointers are to live values of the sizes given.
    owned(unsafe { libc::syscall(libc::SYS_openat2, root, path.as_ptr(), &raw const how, size) })
}

/// A detached copy of the mount that `path` (below `from`) lies on, seen from `path`.
pub fn clone_tree(from: BorrowedFd<'_>, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut flags =
        libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as libc::c_uint;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: the path outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, from.as_raw_fd(), path.as_ptr(), flags) })
}

/// Adds attributes to a mount (and, if `recursive`, to those below it); the others stay.
pub fn restrict(mount: impl AsFd, attributes: u64, recursive: bool) -> io::Result<()> {
    // SAFETY: mount_attr is plain data for which all-zero is valid.
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    attr.attr_set = attributes;
    set_attributes(mount.as_fd(), &attr, recursive)
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    attr: &libc::mount_attr,
    recursive: bool,
) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let (fd, size, attr) = (mount.as_raw_fd(), size_of_val(attr), std::ptr::from_ref(attr));
    // SAFETY: the pointers are to live values of the sizes given.
    let done =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, attr, size) };
    check(done).map(drop)
}

/// Lets a detached mount show its files with the ids that the user namespace `users` maps theirs
/// to: what belongs to 0 on disk belongs to that namespace's root.
pub fn map_ids(mount: impl AsFd, users: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    // SAFETY: mount_attr is plain data for which all-zero is valid.
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    attr.attr_set = libc::MOUNT_ATTR_IDMAP;
    attr.userns_fd = users.as_raw_fd() as u64;
    set_attributes(mount.as_fd(), &attr, recursive)
}

/// Puts a detached mount on top of `target`.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    const BOTH_EMPTY: libc::c_uint = 0x04 | 0x40; // MOVE_MOUNT_{F,T}_EMPTY_PATH, linux/mount.h
    let (from, to) = (mount.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
    let empty = c"".as_ptr();
    // SAFETY: the pointers are to static strings.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, empty, to, empty, BOTH_EMPTY) })
        .map(drop)
}

/// Makes the mount that we stand in the root, and stacks the old root on top of it.
pub fn pivot_here() -> io::Result<()> {
    let here = c".".as_ptr();
    // SAFETY: the pointers are to static strings.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) }).map(drop)
}

/// Locks one byte of a file, past its end or not, for as long as this opening of it is held by
/// anybody; fails when another opening holds it.
pub fn lock_byte(file: &std::fs::File, byte: u32) -> io::Result<()> {
    // SAFETY: flock is plain data for which all-zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = byte.into();
    lock.l_len = 1;
    // SAFETY: the pointer is to a live value.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    check(done.into()).map(drop)
}

/// Whether something is mounted at `path`.
pub fn is_mount_point(path: &Path) -> bool {
    let Ok(path) = c_path(path) else { return false };
    // SAFETY: statx is plain data for which all-zero is valid.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_NO_AUTOMOUNT | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the pointers are to live values.
    let done = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, 0, &raw mut found) };
    done == 0 && found.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0
}

/// Closes every descriptor from 3 up except those in `keep`.
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    let mut first: u32 = 3;
    for fd in keep.into_iter().filter(|fd| *fd >= 3) {
        close_range(first, fd as u32 - 1)?;
        first = fd as u32 + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: the caller names every descriptor that is still owned by someone.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// A descriptor for this very process.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal to the process behind a pidfd.
pub fn pidfd_kill(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let null = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo means "as kill(2) does".
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, null, 0) })
        .map(drop)
}

/// prctl with one argument.
pub fn prctl(option: i32, argument: u64) -> io::Result<()> {
    // SAFETY: only options that take plain numbers are passed.
    check(libc::c_long::from(unsafe { libc::prctl(option, argument, 0, 0, 0) })).map(drop)
}

/// Does something as root whose new files belong to another id, with all of root's powers.
pub fn with_file_ids<T>(id: u32, work: impl FnOnce() -> T) -> io::Result<T> {
    // Without this the powers over files would go with the id.
    prctl(libc::PR_SET_SECUREBITS, libc::SECBIT_NO_SETUID_FIXUP as u64)?;
    nix::unistd::setfsgid(id.into());
    nix::unistd::setfsuid(id.into());
    let done = work();
    nix::unistd::setfsuid(0.into());
    nix::unistd::setfsgid(0.into());
    prctl(libc::PR_SET_SECUREBITS, 0)?;
    Ok(done)
}

/// Sets this process's effective and permitted capabilities; the inheritable ones become none.
pub fn capset(capabilities: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 }; // _LINUX_CAPABILITY_VERSION_3
    let (low, high) = (capabilities as u32, (capabilities >> 32) as u32);
    let data = [low, low, 0, high, high, 0_u32];
    // SAFETY: both are live and laid out as capset(2) says for version 3.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Installs a filter of system calls for this process and its future children. Without
/// `no_new_privs` it takes CAP_SYS_ADMIN in the user namespace.
pub fn set_filter(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    let len = program.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    // Both types are the kernel's struct sock_filter; the kernel only reads it.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len, filter };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program outlives the call, which copies it.
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program) }).map(drop)
}

/// Empties the ambient capability set.
pub fn clear_ambient() -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64)
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000; // linux/sched.h

/// Becomes this user and group, and keeps every capability, across an execution too.
pub fn become_with_powers(id: u32) -> io::Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0]; // _LINUX_CAPABILITY_VERSION_3
    let mut data = [0_u32; 6];
    // SAFETY: both are live and laid out as capget(2) says for version 3.
    check(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) })?;
    let all = u64::from(data[1]) | u64::from(data[4]) << 32;
    prctl(libc::PR_SET_KEEPCAPS, 1)?;
    let (uid, gid) = (nix::unistd::Uid::from_raw(id), nix::unistd::Gid::from_raw(id));
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    capset_inheritable(all)?;
    for capability in (0..64).filter(|bit| all & (1 << bit) != 0) {
        // SAFETY: no pointers are passed.
        check(libc::c_long::from(unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability as u64, 0, 0)
        }))?;
    }
    Ok(())
}

/// Sets the effective, the permitted and the inheritable capabilities (capset(2), version 3).
fn capset_inheritable(all: u64) -> io::Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let (low, high) = (all as u32, (all >> 32) as u32);
    let data: [u32; 6] = [low, low, low, high, high, high];
    // SAFETY: the pointers are to live values of the sizes that this version has.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

/// A folder in memory that is mounted nowhere, and goes with its descriptor.
pub fn memory_folder() -> io::Result<OwnedFd> {
    const CREATE: libc::c_uint = 6; // FSCONFIG_CMD_CREATE, linux/mount.h
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the name is a static string.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1) })?;
    let fd = context.as_raw_fd();
    // SAFETY: this command takes no key and no value.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, fd, CREATE, null, null, 0) })?;
    // SAFETY: no pointers are passed; 1 is FSMOUNT_CLOEXEC.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, 1, 0) })
}

/// Forks as the C library does.
pub fn fork_plain() -> io::Result<i32> {
    // SAFETY: the launcher has one thread, so the child finds every lock free.
    check(unsafe { libc::fork() }.into()).map(|pid| pid as i32)
}

/// Forks a child that has this id in the innermost process namespace it is born in. What holds
/// for [`fork_into`] holds for it.
pub fn fork_as(pid: i32) -> io::Result<i32> {
    // SAFETY: clone_args is plain data for which all-zero is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    args.set_tid = (&raw const pid) as u64;
    args.set_tid_size = 1;
    let size = size_of_val(&args);
    // SAFETY: without CLONE_VM and a stack the child goes on here with a copy of everything.
    check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) }).map(|pid| pid as i32)
}

/// Forks into a cgroup of the second version. Only for a process with one thread; the child must
/// fork once more through the C library before it relies on its own thread id there.
pub fn fork_into(cgroup: RawFd) -> io::Result<i32> {
    // SAFETY: clone_args is plain data for which all-zero is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = cgroup as u64;
    let size = size_of_val(&args);
    // SAFETY: without CLONE_VM and a stack the child goes on here with a copy of everything.
    check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) }).map(|pid| pid as i32)
}

/// Every signal does again what it does by default; only a broken pipe stays an error of write,
/// as Rust programs have it.
pub fn reset_signals() {
    for signal in (1..=64).filter(|signal| *signal != libc::SIGPIPE) {
        // SAFETY: no handler is installed. KILL, STOP and the C library's own refuse, and may.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Replaces the environment: whoever started us may have secrets in theirs.
pub fn set_environment(variables: &[(&str, &OsStr)]) {
    // SAFETY: the launcher has one thread, so nobody reads the environment meanwhile.
    unsafe {
        libc::clearenv();
        for (name, value) in variables {
            std::env::set_var(name, value);
        }
    }
}
