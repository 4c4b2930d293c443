//! Opening paths below a folder without ever leaving it, whatever symlinks lie in the way, and the
//! names in folders.
//!
//! Two ways: straight (no symlink in any component, so that one swapped in by another process leads
//! nowhere), for walks; and inside (`..` and absolute symlinks stop at the root, as after `chroot`),
//! for archives whose paths go through their own symlinks.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RawDir, ResolveFlags, Stat, mkdirat, openat, openat2, statat,
};
use rustix::io::{Errno, Result};

/// Flags for opening a folder.
pub const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// No symlink anywhere, and not above the root.
const STRAIGHT: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// How often the kernel may ask to try again, when somebody renames folders anywhere.
const ATTEMPTS: usize = 128;

/// Opens a folder by a path that we trust.
///
/// # Errors
/// The kernel's.
pub fn open_root(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, DIR.difference(OFlags::NOFOLLOW), Mode::empty())
}

/// Opens `path` below `root`, straight; an empty path is the root itself.
///
/// # Errors
/// The kernel's; `ELOOP` or `ENOTDIR` for a symlink on the way, `EXDEV` for a path that leads out.
pub fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    resolve(root, path, flags, mode, STRAIGHT)
}

/// Opens a folder below `root` for listing, straight.
///
/// # Errors
/// As [`open`].
pub fn open_dir(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    open(root, path, DIR, Mode::empty())
}

/// The same, unless a mount lies on the way.
///
/// # Errors
/// As [`open`]; `EXDEV` for what lies behind a mount.
pub fn open_dir_here(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    resolve(root, path, DIR, Mode::empty(), STRAIGHT | ResolveFlags::NO_XDEV)
}

/// Opens the folder `path` as a process would whose root is `root`, unless a mount lies on the way.
///
/// # Errors
/// The kernel's.
pub fn open_inside(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    resolve(root, path, DIR.difference(OFlags::NOFOLLOW), Mode::empty(), inside)
}

/// Opens the folder `path` inside `root` and makes what is missing of it.
///
/// # Errors
/// The kernel's; `ELOOP` for a symlink that leads nowhere: what it would lead to is not ours to make.
pub fn make_inside(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    match open_inside(root, path) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let (parent, name) = split(path);
    let parent = make_inside(root, parent)?;
    match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => openat(&parent, name, DIR, Mode::empty()),
        Err(Errno::EXIST) => Err(Errno::LOOP),
        Err(error) => Err(error),
    }
}

/// Opens a file of one folder for reading. Never blocks on a FIFO; the caller checks the kind.
///
/// # Errors
/// The kernel's; `ELOOP` for a symlink.
pub fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(dir, name, flags | OFlags::CLOEXEC, Mode::empty())
}

fn resolve(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    how: ResolveFlags,
) -> Result<OwnedFd> {
    let whole = if path.is_empty() { b".".as_slice() } else { path };
    for _ in 0..ATTEMPTS {
        match openat2(root, whole, flags, mode, how) {
            Err(Errno::AGAIN) => {}
            // Missing, filtered by an old seccomp profile, or a path longer than PATH_MAX.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => {
                return walk(root, path, flags, mode);
            }
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// The straight way, one component at a time.
fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let (parent, name) = split(path);
    let mut here = openat(root, ".", DIR, Mode::empty())?;
    for part in parts(parent) {
        if part == b".." {
            return Err(Errno::XDEV);
        }
        here = openat(&here, part, DIR, Mode::empty())?;
    }
    if name == b".." {
        return Err(Errno::XDEV);
    }
    let name = if name.is_empty() { b"." } else { name };
    openat(&here, name, flags | OFlags::NOFOLLOW, mode)
}

/// A path's components.
pub fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// A path's folder and last name.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A name below a folder.
#[must_use]
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + name.len() + 1);
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// What a name is, not following it when it is a symlink. `None` when it is not there.
///
/// # Errors
/// The kernel's.
pub fn stat_at(dir: impl AsFd, name: &[u8]) -> Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in an open folder, without `.` and `..`, in no order.
///
/// # Errors
/// The kernel's.
pub fn names(dir: impl AsFd) -> Result<Vec<CString>> {
    let mut found = Vec::new();
    each_name(dir, |name| found.push(name.to_owned()))?;
    Ok(found)
}

/// Calls `f` for each name in an open folder.
///
/// # Errors
/// The kernel's.
pub fn each_name(dir: impl AsFd, mut f: impl FnMut(&CStr)) -> Result<()> {
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
#[must_use]
pub fn read_small(dir: BorrowedFd<'_>, name: &[u8], limit: u64) -> Option<Vec<u8>> {
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
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_component_of_a_straight_path_may_be_a_symlink() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::create_dir(tmp.path().join("d")).unwrap();
        std::fs::write(tmp.path().join("d/f"), "x").unwrap();
        symlink("/etc", tmp.path().join("out")).unwrap();
        symlink("d", tmp.path().join("in")).unwrap();
        let root = open_root(tmp.path()).unwrap();
        for opener in [open, walk] {
            let read = |p: &[u8]| opener(root.as_fd(), p, OFlags::RDONLY, Mode::empty());
            assert!(read(b"d/f").is_ok());
            for path in [b"out/passwd".as_slice(), b"in/f", b"in", b"../x", b"d/../../x"] {
                assert!(read(path).is_err(), "{}", String::from_utf8_lossy(path));
            }
        }
    }

    #[test]
    fn symlinks_inside_lead_nowhere_but_inside() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("root");
        std::fs::create_dir_all(root.join("d/e")).unwrap();
        std::fs::create_dir(tmp.path().join("e")).unwrap();
        symlink("/d", root.join("absolute")).unwrap();
        symlink("../../..", root.join("d/up")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        let root = open_root(&root).unwrap();
        let inode = |path: &[u8]| {
            open_inside(root.as_fd(), path).map(|dir| rustix::fs::fstat(dir).unwrap().st_ino)
        };
        assert_eq!(inode(b"absolute/e"), inode(b"d/e"));
        assert_eq!(inode(b"d/up"), inode(b""));
        assert_eq!(inode(b"../e").unwrap_err(), Errno::NOENT);
        assert!(make_inside(root.as_fd(), b"absolute/new/deep").is_ok());
        assert!(inode(b"d/new/deep").is_ok());
        assert_eq!(make_inside(root.as_fd(), b"broken/x").unwrap_err(), Errno::LOOP);
    }
}
