//! What a copy of a file keeps besides its bytes.

use std::os::fd::BorrowedFd;

use atelier_files::{Contents, times, xattrs};
use rustix::fs::{
    AtFlags, Gid, Mode, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr, futimens, utimensat,
};
use rustix::io::{Errno, Result};

use super::entry::Entry;

/// The kernel's marks of overlay layers, which must not get into a layer from outside.
const OVERLAY_MARKS: &[u8] = b"user.overlay.";

/// Copies contents and metadata.
#[derive(Debug)]
pub(crate) struct Copier {
    pub(crate) contents: Contents,
    as_root: bool,
}

impl Copier {
    pub(crate) fn new() -> Self {
        let as_root = rustix::process::geteuid().is_root();
        Self { contents: Contents::default(), as_root }
    }

    /// Gives a file or folder the metadata of its original: attributes, owner (as root), mode,
    /// times; in that order, since each may undo a later one.
    pub(crate) fn metadata(
        &self,
        from: Option<BorrowedFd<'_>>,
        to: BorrowedFd<'_>,
        entry: &Entry,
    ) -> Result<()> {
        if let Some(from) = from {
            copy_xattrs(from, to)?;
        }
        let mut mode = entry.mode;
        if self.as_root {
            if (entry.uid, entry.gid) != (0, 0) {
                keep_going(fchown(to, Some(uid(entry)), Some(gid(entry))))?;
            }
        } else if entry.uid != rustix::process::geteuid().as_raw() {
            // A file of somebody else becomes ours; it must not become setuid to us.
            mode &= 0o1777;
        }
        fchmod(to, Mode::from_raw_mode(mode))?;
        futimens(to, &times(entry.mtime))
    }

    /// The same for a symlink or FIFO, which is not opened.
    pub(crate) fn metadata_at(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<()> {
        if self.as_root && (entry.uid, entry.gid) != (0, 0) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            keep_going(chownat(dir, name, Some(uid(entry)), Some(gid(entry)), flags))?;
        }
        utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Owners outside a user namespace's map cannot be set; the copy is ours then.
fn keep_going(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

fn uid(entry: &Entry) -> Uid {
    Uid::from_raw(entry.uid)
}

fn gid(entry: &Entry) -> Gid {
    Gid::from_raw(entry.gid)
}

/// Copies the `user.*` attributes, but for the kernel's own marks of overlay layers.
fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let is_users = |name: &[u8]| name.starts_with(b"user.") && !name.starts_with(OVERLAY_MARKS);
    for (name, value) in xattrs(from)?.into_iter().filter(|(name, _)| is_users(name)) {
        match fsetxattr(to, name, &value, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}
