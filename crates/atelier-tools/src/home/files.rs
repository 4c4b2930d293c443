//! Files of the home: written whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use atelier_files::whole;
use sha2::{Digest, Sha256};

use crate::{Result, ToolsError};

/// A folder for us alone, with all above it.
pub(crate) fn folder(path: &Path) -> Result<()> {
    whole::private_folder(path).map_err(ToolsError::file("made", path))
}

/// Writes a file whose end is on the disk when this returns; `mode` as in chmod.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(ToolsError::file("written", path))
}

/// Replaces a file in one step: before, the old one is there; after, the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    folder(path.parent().unwrap_or(Path::new("/")))?;
    whole::replace(path, bytes, mode).map_err(ToolsError::file("replaced", path))
}

/// A file's text; nothing when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ToolsError::file("read", path)(error)),
    }
}

/// Whether anything is there, a broken link too.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Removes a file, a link or a whole tree; fine when there is none.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let Ok(data) = fs::symlink_metadata(path) else { return Ok(()) };
    let removed = if data.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(ToolsError::file("removed", path)(error))
        }
        _ => Ok(()),
    }
}

/// Moves within one filesystem.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        folder(parent)?;
    }
    fs::rename(from, to).map_err(ToolsError::file("moved", from))
}

/// A second name for a file, or a copy where a filesystem has no such thing; `from` stays in place.
pub(crate) fn keep(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        folder(parent)?;
    }
    let kept = fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop));
    kept.map_err(ToolsError::file("kept", from))
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
