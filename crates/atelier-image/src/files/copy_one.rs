//! Copying one file, symlink, pipe or device between two open folders.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, chownat,
    copy_file_range, fchmod, fchown, futimens, ioctl_ficlone, mknodat, openat, readlinkat, seek,
    symlinkat, utimensat,
};
use rustix::io::{Errno, Result};

use super::copy::Origin;
use super::marks::{as_root, kind, may_arrive, set_xattr, stays, xattrs};

/// Files up to this size are read and written, which takes fewer system calls than anything else.
const SMALL: u64 = 64 * 1024;

/// What copying works with.
pub(crate) struct Hands {
    origin: Origin,
    as_root: bool,
    /// Whether the two filesystems share blocks, as far as we know.
    reflink: bool,
    buffer: Vec<u8>,
}

impl Hands {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, as_root: as_root(), reflink: true, buffer: vec![0; 2 * SMALL as usize] }
    }

    /// Copies the name; whether there is something to copy.
    pub(crate) fn one(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<bool> {
        match kind(stat) {
            FileType::RegularFile => return self.file(from, to, name),
            FileType::Symlink => {
                let target = match readlinkat(from, name, Vec::new()) {
                    Ok(target) => target,
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(false),
                    Err(error) => return Err(error),
                };
                symlinkat(target, to, name)?;
            }
            FileType::Fifo => mknodat(to, name, FileType::Fifo, Mode::from(stat.st_mode), 0)?,
            device @ (FileType::CharacterDevice | FileType::BlockDevice) => {
                if !self.device(to, name, path, device, stat)? {
                    return Ok(false);
                }
            }
            // A socket without its process is nothing.
            _ => return Ok(false),
        }
        if self.as_root {
            chownat(to, name, owner(stat).0, owner(stat).1, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(true)
    }

    fn device(
        &self,
        to: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        device: FileType,
        stat: &Stat,
    ) -> Result<bool> {
        if self.origin == Origin::Files {
            // Every sandbox gets a /dev of its own.
            return if path.starts_with(b"dev/") { Ok(false) } else { Err(Errno::NODEV) };
        }
        match mknodat(to, name, device, Mode::from(stat.st_mode), stat.st_rdev) {
            Ok(()) => Ok(true),
            // Only the superuser can; what a user's sandbox has is whiteouts.
            Err(Errno::PERM) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn file(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut from = match openat(from, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(false),
            Err(error) => return Err(error),
        };
        let stat = rustix::fs::fstat(&from)?;
        if kind(&stat) != FileType::RegularFile {
            return Ok(false);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut to = File::from(openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
        self.contents(&mut from, &mut to, &stat)
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        self.metadata(from.as_fd(), to.as_fd(), &stat)?;
        Ok(true)
    }

    fn contents(&mut self, from: &mut File, to: &mut File, stat: &Stat) -> std::io::Result<()> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > SMALL && self.reflink {
            match ioctl_ficlone(&*to, &*from) {
                Ok(()) => return Ok(()),
                Err(Errno::NOSPC) => return Err(Errno::NOSPC.into()),
                Err(_) => self.reflink = false,
            }
        }
        if u64::try_from(stat.st_blocks).unwrap_or(0) * 512 < size {
            return sparse(from, to, size);
        }
        if size > SMALL {
            range(from, to)?;
        }
        // The rest, or all of a small file.
        read_write(from, to, &mut self.buffer)
    }

    /// Attributes last, because a change of the owner takes capabilities away.
    pub(crate) fn metadata(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
    ) -> Result<()> {
        let origin = self.origin;
        self.metadata_with(from, to, stat, |name| match origin {
            Origin::Layer => stays(name),
            Origin::Files => may_arrive(name),
        })
    }

    /// The same for a tree that is no layer: without the marks of one.
    pub(crate) fn metadata_without_marks(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
    ) -> Result<()> {
        let is_mark = |name: &[u8]| {
            name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
        };
        self.metadata_with(from, to, stat, |name| stays(name) && !is_mark(name))
    }

    fn metadata_with(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
        keep: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        if self.as_root {
            fchown(to, owner(stat).0, owner(stat).1)?;
        }
        fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        for (name, value) in xattrs(from)? {
            if keep(&name) {
                set_xattr(to, &name, &value)?;
            }
        }
        futimens(to, &times(stat))
    }
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn times(stat: &Stat) -> Timestamps {
    let time =
        Timespec { tv_sec: stat.st_mtime, tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0) };
    Timestamps { last_access: time, last_modification: time }
}

fn read_write(from: &mut File, to: &mut File, buffer: &mut [u8]) -> std::io::Result<()> {
    loop {
        let n = from.read(buffer)?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..n])?;
    }
}

/// Copies inside the kernel, as far as the kernel can.
fn range(from: &File, to: &File) -> std::io::Result<()> {
    loop {
        match copy_file_range(from, None, to, None, 1 << 30) {
            Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return Ok(());
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies the parts of a sparse file that hold data, and keeps the holes.
fn sparse(from: &mut File, to: &mut File, size: u64) -> std::io::Result<()> {
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
    to.set_len(size)
}
