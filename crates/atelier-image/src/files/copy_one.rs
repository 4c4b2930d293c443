//! Copying one file, symlink, pipe or device between two open folders.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use atelier_files::{Contents, modified, times, xattrs};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchmod, fchown, futimens, mknodat,
    openat, readlinkat, symlinkat, utimensat,
};
use rustix::io::{Errno, Result};

use super::copy::Origin;
use super::marks::{as_root, kind, may_arrive, set_xattr, stays};

/// What copying works with.
pub(crate) struct Hands {
    origin: Origin,
    as_root: bool,
    contents: Contents,
    buffer: Vec<u8>,
}

impl Hands {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, as_root: as_root(), contents: Contents::default(), buffer: Vec::new() }
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
        utimensat(to, name, &times(modified(stat)), AtFlags::SYMLINK_NOFOLLOW)?;
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
        self.contents
            .copy(&mut from, &mut to, &mut self.buffer)
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        self.metadata(from.as_fd(), to.as_fd(), &stat)?;
        Ok(true)
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
        futimens(to, &times(modified(stat)))
    }
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}
