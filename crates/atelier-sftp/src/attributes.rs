//! What is said of a file, and what is asked to be said of it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid};

use crate::wire::{Fields, Message, Short};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// The bits of a mode that a client may set.
const SETTABLE: u32 = 0o7777;

/// Attributes that a client sends: those that it means to set.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) size: Option<u64>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) mode: Option<u32>,
    /// Last read, last written.
    pub(crate) times: Option<(u32, u32)>,
}

impl Wanted {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, Short> {
        let flags = fields.u32()?;
        let mut wanted = Self::default();
        if flags & SIZE != 0 {
            wanted.size = Some(fields.u64()?);
        }
        if flags & OWNER != 0 {
            wanted.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            wanted.mode = Some(fields.u32()? & SETTABLE);
        }
        if flags & TIMES != 0 {
            wanted.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..fields.u32()? {
                fields.bytes()?;
                fields.bytes()?;
            }
        }
        Ok(wanted)
    }

    /// Sets them on an open file. The size first: truncating changes the time.
    pub(crate) fn set_on(&self, file: &File) -> io::Result<()> {
        if let Some(size) = self.size {
            file.set_len(size)?;
        }
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        if let Some(mode) = self.mode {
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
        }
        if let Some(times) = self.times {
            rustix::fs::futimens(file, &timestamps(times))?;
        }
        Ok(())
    }

    /// Sets them at a path; on what a link leads to, unless `link`.
    pub(crate) fn set_at(&self, path: &Path, link: bool) -> io::Result<()> {
        let flags = if link { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        if let Some(size) = self.size.filter(|_| !link) {
            File::options().write(true).open(path)?.set_len(size)?;
        }
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(CWD, path, Some(uid), Some(gid), flags)?;
        }
        if let Some(mode) = self.mode {
            // A link's own mode cannot be set on Linux; the kernel says so.
            rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), flags)?;
        }
        if let Some(times) = self.times {
            rustix::fs::utimensat(CWD, path, &timestamps(times), flags)?;
        }
        Ok(())
    }
}

/// The attributes of a file, appended to a message.
pub(crate) fn write(message: Message, found: &Metadata) -> Message {
    // Version 3 has 32 bits for times: they wrap as OpenSSH's do.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "said above")]
    let seconds = |time: i64| time as u32;
    message
        .u32(SIZE | OWNER | PERMISSIONS | TIMES)
        .u64(found.len())
        .u32(found.uid())
        .u32(found.gid())
        .u32(found.mode())
        .u32(seconds(found.atime()))
        .u32(seconds(found.mtime()))
}

fn timestamps((read, written): (u32, u32)) -> Timestamps {
    let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    Timestamps { last_access: time(read), last_modification: time(written) }
}
