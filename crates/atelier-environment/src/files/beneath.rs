//! Opening paths below a folder without ever leaving it: no symlink is followed in any component,
//! so that one swapped in by another process cannot lead a copy or an apply elsewhere.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, ResolveFlags, Stat, openat, openat2, statat};
use rustix::io::{Errno, Result};

/// Flags for opening a folder.
const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a folder by a path that we trust (the project's root, our own home).
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, DIR.difference(OFlags::NOFOLLOW), Mode::empty())
}

/// Opens `path` below `root`; an empty path is the root itself.
pub(crate) fn open(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let whole = if path.is_empty() { b".".as_slice() } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, whole, flags, mode, resolve) {
        // Missing, filtered by an old seccomp profile, or a path longer than PATH_MAX.
        Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => walk(root, path, flags, mode),
        result => result,
    }
}

/// The same, one component at a time.
fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let (parent, name) = split(path);
    let mut here = openat(root, ".", DIR, Mode::empty())?;
    for part in parent.split(|b| *b == b'/').filter(|p| !p.is_empty()) {
        if part == b".." {
            return Err(Errno::XDEV);
        }
        here = openat(&here, part, DIR, Mode::empty())?;
    }
    if name == b".." {
        return Err(Errno::XDEV);
    }
    openat(&here, if name.is_empty() { b"." } else { name }, flags, mode)
}

/// Opens a folder below `root` for listing.
pub(crate) fn open_dir(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    open(root, path, DIR, Mode::empty())
}

/// Opens the folder at the absolute path `path` as the processes see it whose root is `root`. No symlink of
/// theirs is followed.
///
/// # Errors
/// When it is not there, or is no folder.
pub fn open_tree(root: &Path, path: &Path) -> crate::error::Result<OwnedFd> {
    let fail = |e: Errno| crate::error::Error::io("open", path, e);
    let root = open_root(root).map_err(fail)?;
    let below = path.strip_prefix("/").unwrap_or(path);
    open_dir(root.as_fd(), &crate::quote::path_bytes(below)).map_err(fail)
}

/// Opens a file of one folder for reading. Never blocks on a FIFO; the caller checks the kind.
pub(crate) fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(dir, name, flags | OFlags::CLOEXEC, Mode::empty())
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
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in an open folder, without `.` and `..`, in no order.
pub(crate) fn names(dir: impl AsFd) -> Result<Vec<CString>> {
    let mut found = Vec::new();
    each_name(dir, |name| found.push(name.to_owned()))?;
    Ok(found)
}

/// Calls `f` for each name in an open folder.
pub(crate) fn each_name(dir: impl AsFd, mut f: impl FnMut(&CStr)) -> Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut listing = RawDir::new(dir, &mut buffer);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            f(name);
        }
    }
    Ok(())
}

/// Reads a small regular file of a folder; `None` when it is absent, something else, or longer
/// than `limit` bytes.
pub(crate) fn read_small(dir: BorrowedFd<'_>, name: &[u8], limit: u64) -> Option<Vec<u8>> {
    let file = File::from(open_file(dir, name).ok()?);
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > limit {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).ok()?);
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_component_may_be_a_symlink() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::create_dir(tmp.path().join("d")).unwrap();
        std::fs::write(tmp.path().join("d/f"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", tmp.path().join("out")).unwrap();
        std::os::unix::fs::symlink("d", tmp.path().join("in")).unwrap();
        let root = open_root(tmp.path()).unwrap();
        for opener in [open, walk] {
            let read = |p: &[u8]| {
                opener(root.as_fd(), p, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())
            };
            assert!(read(b"d/f").is_ok());
            for path in [b"out/passwd".as_slice(), b"in/f", b"../x", b"d/../../x"] {
                assert!(read(path).is_err(), "{}", String::from_utf8_lossy(path));
            }
        }
    }
}
