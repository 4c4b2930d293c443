//! What requests do to files and folders.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use crate::attributes::Wanted;

const READ: u32 = 0x01;
const WRITE: u32 = 0x02;
const APPEND: u32 = 0x04;
const CREATE: u32 = 0x08;
const TRUNCATE: u32 = 0x10;
const EXCLUSIVE: u32 = 0x20;

/// An open file.
pub(crate) struct Opened {
    pub(crate) file: File,
    append: bool,
}

impl Opened {
    pub(crate) fn open(path: &Path, flags: u32, wanted: &Wanted) -> io::Result<Self> {
        let has = |flag| flags & flag != 0;
        let mut options = OpenOptions::new();
        options.read(has(READ)).write(has(WRITE));
        if has(CREATE) {
            options.create(true).create_new(has(EXCLUSIVE)).mode(wanted.mode.unwrap_or(0o666));
        }
        // `create` with nothing to write is refused by the standard library, not by the protocol.
        if has(CREATE) && !has(WRITE) {
            options.write(true);
        }
        options.truncate(has(TRUNCATE) && has(WRITE));
        Ok(Self { file: options.open(path)?, append: has(APPEND) })
    }

    /// Fills the buffer from an offset, as far as the file goes.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match self.file.read_at(into, offset) {
            // A pipe or a device has no offsets.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SPIPE.raw_os_error()) => {
                io::Read::read(&mut &self.file, into)
            }
            other => other,
        }
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = if self.append { self.file.metadata()?.len() } else { offset };
        match self.file.write_all_at(bytes, offset) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SPIPE.raw_os_error()) => {
                io::Write::write_all(&mut &self.file, bytes)
            }
            other => other,
        }
    }
}

/// A path as it came: relative ones start where the server does. An empty one is that folder.
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    let bytes = if bytes.is_empty() { b".".as_slice() } else { bytes };
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    fs::remove_file(path)
}

pub(crate) fn make_folder(path: &Path, wanted: &Wanted) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(wanted.mode.unwrap_or(0o777)).create(path)
}

/// Renames where nothing is yet: version 3 does not replace.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems don't know the flag.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        other => Ok(other?),
    }
}

/// The absolute path without links; its last part need not be there.
pub(crate) fn real_path(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
        }
        other => other,
    }
}
