//! Copying the bytes and the metadata of one file, the cheapest way that the filesystem offers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, Gid, Mode, SeekFrom, Timespec, Timestamps, Uid, XattrFlags, chownat, copy_file_range,
    fchmod, fchown, fgetxattr, flistxattr, fsetxattr, futimens, ioctl_ficlone, seek, utimensat,
};
use rustix::io::{Errno, Result};

use super::entry::Entry;

/// Files up to this size are read and written, which takes fewer system calls than anything else.
const SMALL: u64 = 64 * 1024;
/// The longest user attribute that Linux allows is 64 KiB, and so is the longest list.
const XATTR_LIMIT: usize = 64 * 1024;
/// The kernel's marks of overlay layers, which must not get into a layer from outside.
const OVERLAY_MARKS: &[u8] = b"user.overlay.";

/// Copies contents; remembers whether the two filesystems can share blocks.
#[derive(Debug)]
pub(crate) struct Copier {
    reflink: AtomicBool,
    as_root: bool,
}

impl Copier {
    pub(crate) fn new() -> Self {
        let as_root = rustix::process::geteuid().is_root();
        Self { reflink: AtomicBool::new(true), as_root }
    }

    /// Copies everything in `from` to the empty file `to`. Returns the bytes.
    pub(crate) fn contents(
        &self,
        from: &mut File,
        to: &mut File,
        entry: &Entry,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<u64> {
        if entry.size > SMALL && self.reflink.load(Ordering::Relaxed) {
            match ioctl_ficlone(&to, &from) {
                Ok(()) => return Ok(entry.size),
                Err(Errno::NOSPC) => return Err(Errno::NOSPC.into()),
                Err(_) => self.reflink.store(false, Ordering::Relaxed),
            }
        }
        if entry.size <= SMALL {
            return read_write(from, to, buffer);
        }
        if entry.blocks.saturating_mul(512) < entry.size {
            return sparse(from, to, entry.size);
        }
        range(from, to, buffer)
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

/// Access and modification time, both the same moment.
pub(crate) fn times(mtime: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.div_euclid(1_000_000_000),
        tv_nsec: mtime.rem_euclid(1_000_000_000),
    };
    Timestamps { last_access: time, last_modification: time }
}

fn read_write(from: &mut File, to: &mut File, buffer: &mut Vec<u8>) -> std::io::Result<u64> {
    buffer.resize(2 * SMALL as usize, 0);
    let mut total = 0;
    loop {
        let n = from.read(buffer)?;
        if n == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..n])?;
        total += n as u64;
    }
}

/// Copies inside the kernel, as far as the kernel can.
fn range(from: &mut File, to: &mut File, buffer: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut total = 0;
    loop {
        match copy_file_range(&*from, None, &*to, None, 1 << 30) {
            // Some filesystems (procfs, FUSE) answer 0 for files that have content.
            Ok(0) => return Ok(total + read_write(from, to, buffer)?),
            Ok(n) => total += n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return Ok(total + read_write(from, to, buffer)?);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies the parts of a sparse file that hold data, and keeps the holes.
fn sparse(from: &mut File, to: &mut File, size: u64) -> std::io::Result<u64> {
    let mut at = 0;
    while at < size {
        let data = match seek(&*from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(&*from, SeekFrom::Hole(data))?;
        seek(&*from, SeekFrom::Start(data))?;
        seek(&*to, SeekFrom::Start(data))?;
        std::io::copy(&mut (&mut *from).take(end - data), to)?;
        at = end;
    }
    to.set_len(size)?;
    Ok(size)
}

/// Copies the `user.*` attributes, but for the kernel's own marks of overlay layers.
fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mut list = [0; XATTR_LIMIT];
    let used = match flistxattr(from, list.as_mut_slice()) {
        Ok(used) => used,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in list[..used].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if !name.starts_with(b"user.") || name.starts_with(OVERLAY_MARKS) {
            continue;
        }
        let mut value = vec![0; XATTR_LIMIT];
        let Ok(n) = fgetxattr(from, name, value.as_mut_slice()) else { continue };
        match fsetxattr(to, name, &value[..n], XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}
