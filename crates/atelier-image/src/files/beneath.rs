//! Opening paths below a folder without ever leaving it, whatever symlinks lie in the way.
//!
//! Two ways: inside (`..` and absolute symlinks stop at the root, as after `chroot`), for archives
//! whose paths go through their own symlinks; and straight (no symlink at all), for walks.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RawDir, ResolveFlags, Stat, mkdirat, openat, openat2, statat,
};
use rustix::io::{Errno, Result};

/// Flags for opening a folder.
pub(crate) const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often the kernel may ask to try again, when somebody renames folders anywhere.
const ATTEMPTS: usize = 128;

/// Opens a folder by a path that we trust.
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, DIR.difference(OFlags::NOFOLLOW), Mode::empty())
}

/// Opens the folder `path` as a process would whose root is `root`.
pub(crate) fn open_inside(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let flags = DIR.difference(OFlags::NOFOLLOW);
    resolve(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Opens the folder `path` if no component of it is a symlink.
pub(crate) fn open_straight(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    resolve(root, path, DIR, ResolveFlags::BENEATH | no_links)
}

fn resolve(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, how: ResolveFlags) -> Result<OwnedFd> {
    let whole = if path.is_empty() { b".".as_slice() } else { path };
    for _ in 0..ATTEMPTS {
        match openat2(root, whole, flags, Mode::empty(), how | ResolveFlags::NO_XDEV) {
            Err(Errno::AGAIN) => {}
            // Missing, filtered by an old seccomp profile, or a path longer than PATH_MAX.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => return walk(root, path),
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// One component at a time, no symlinks.
fn walk(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let mut here = openat(root, ".", DIR, Mode::empty())?;
    for part in parts(path) {
        if part == b".." {
            return Err(Errno::XDEV);
        }
        here = openat(&here, part, DIR, Mode::empty())?;
    }
    Ok(here)
}

/// Opens the folder `path` inside `root` and makes what is missing of it.
pub(crate) fn make_inside(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    match open_inside(root, path) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let (parent, name) = split(path);
    let parent = make_inside(root, parent)?;
    match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => openat(&parent, name, DIR, Mode::empty()),
        // A symlink that leads nowhere: what it would lead to is not ours to make.
        Err(Errno::EXIST) => Err(Errno::LOOP),
        Err(error) => Err(error),
    }
}

/// A path's components.
pub(crate) fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// A path's folder and last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A name below a folder.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + name.len() + 1);
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// What a name is, not following it when it is a symlink. `None` when it is not there.
pub(crate) fn stat_at(dir: impl AsFd, name: &[u8]) -> Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in an open folder, without `.` and `..`, in no order.
pub(crate) fn names(dir: impl AsFd) -> Result<Vec<CString>> {
    let mut found = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut listing = RawDir::new(dir, &mut buffer);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}
