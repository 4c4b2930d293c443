//! Copying one file, symlink or FIFO between two open folders, and noticing when it changes
//! meanwhile.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fstat, mknodat, openat, readlinkat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::entry::{Entry, Kind};
use super::metadata::Copier;
use atelier_files::below::{open_file, stat_at};

/// How often a file that changes under our hands is copied before we report it.
const ATTEMPTS: usize = 3;
/// What came of one path.
pub(crate) enum Done {
    Copied(Entry, u64),
    /// Copied, but it was changing all the time.
    Torn(Entry, u64),
    Gone,
    Skipped(&'static str),
}

/// A result, or what was tried and why it failed.
pub(crate) type Step<T> = Result<T, (&'static str, std::io::Error)>;

/// One name in two open folders.
pub(crate) struct One<'a> {
    pub copier: &'a Copier,
    pub from: BorrowedFd<'a>,
    pub to: BorrowedFd<'a>,
    pub name: &'a [u8],
}

impl One<'_> {
    /// Copies the name; `entry` is what it was when it was listed.
    pub(crate) fn copy(&self, mut entry: Entry, buffer: &mut Vec<u8>) -> Step<Done> {
        for attempt in 1..=ATTEMPTS {
            let done = match entry.kind {
                Kind::File => self.file(&entry, buffer, attempt == ATTEMPTS)?,
                Kind::Symlink => self.symlink(&entry)?,
                Kind::Fifo => Some(self.fifo(&entry)?),
                _ => return Ok(Done::Skipped("it changed while it was copied")),
            };
            if let Some(done) = done {
                return Ok(done);
            }
            let _ = unlinkat(self.to, self.name, AtFlags::empty());
            match stat_at(self.from, self.name).map_err(|e| ("read", e.into()))? {
                Some(stat) => entry = Entry::new(entry.path, &stat),
                None => return Ok(Done::Gone),
            }
        }
        Ok(Done::Skipped("it kept changing while it was copied"))
    }

    /// `None`: it changed meanwhile, look again.
    fn file(&self, entry: &Entry, buffer: &mut Vec<u8>, last: bool) -> Step<Option<Done>> {
        let from = match open_file(self.from, self.name) {
            Ok(fd) => fd,
            Err(Errno::ACCESS | Errno::PERM) => {
                return Ok(Some(Done::Skipped("it cannot be read")));
            }
            Err(Errno::NOENT) => return Ok(Some(Done::Gone)),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(("read", error.into())),
        };
        let look = || fstat(&from).map_err(|e| ("read", e.into()));
        let before = Entry::new(entry.path.clone(), &look()?);
        if before.kind != Kind::File {
            return Ok(None);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let to = openat(self.to, self.name, flags | OFlags::NOFOLLOW, Mode::RUSR | Mode::WUSR)
            .map_err(|e| ("write", e.into()))?;
        let mut reader = File::from(from.try_clone().map_err(|e| ("read", e))?);
        let mut writer = File::from(to);
        let bytes = self
            .copier
            .contents
            .copy(&mut reader, &mut writer, buffer)
            .map_err(|e| ("write", e))?;
        let after = Entry::new(entry.path.clone(), &look()?);
        let calm = before.is_unchanged(&after);
        if !calm && !last {
            return Ok(None);
        }
        self.copier
            .metadata(Some(from.as_fd()), writer.as_fd(), &before)
            .map_err(|e| ("set the metadata of", e.into()))?;
        Ok(Some(if calm { Done::Copied(before, bytes) } else { Done::Torn(before, bytes) }))
    }

    fn symlink(&self, entry: &Entry) -> Step<Option<Done>> {
        let target: CString = match readlinkat(self.from, self.name, Vec::new()) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(Some(Done::Gone)),
            Err(Errno::INVAL) => return Ok(None),
            Err(error) => return Err(("read", error.into())),
        };
        symlinkat(target.as_c_str(), self.to, self.name).map_err(|e| ("write", e.into()))?;
        self.finish(entry)?;
        Ok(Some(Done::Copied(entry.clone(), 0)))
    }

    fn fifo(&self, entry: &Entry) -> Step<Done> {
        let mode = Mode::from_raw_mode(entry.mode);
        mknodat(self.to, self.name, FileType::Fifo, mode, 0).map_err(|e| ("write", e.into()))?;
        // The umask took bits away; a fresh FIFO in a folder of our own can be changed by name.
        rustix::fs::chmodat(self.to, self.name, mode, AtFlags::empty())
            .map_err(|e| ("write", e.into()))?;
        self.finish(entry)?;
        Ok(Done::Copied(entry.clone(), 0))
    }

    fn finish(&self, entry: &Entry) -> Step<()> {
        self.copier
            .metadata_at(self.to, self.name, entry)
            .map_err(|e| ("set the metadata of", e.into()))
    }
}
