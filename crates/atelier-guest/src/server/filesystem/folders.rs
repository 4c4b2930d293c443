//! Folders: listing, making, moving, removing. All of it may take long and runs beside the server.

use std::fs;
use std::io;
use std::path::Path;

use super::super::paths::ensure_folders;
use super::super::users::{Names, User};
use super::entry::describe;
use crate::wire::{Code, ConnectError, EntryInfo};

/// What is in a folder, `depth` levels down. Links are listed and not followed.
pub(super) fn list(asked: &Path, depth: u32) -> Result<Vec<EntryInfo>, ConnectError> {
    let shown = asked.display();
    let folder = fs::canonicalize(asked).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => {
            ConnectError::not_found(format!("path not found: {shown}"))
        }
        Some(libc::ELOOP) => ConnectError::new(
            Code::FailedPrecondition,
            format!("cyclic symlink or chain >255 links at \"{shown}\""),
        ),
        _ => ConnectError::internal(format!("error resolving symlink: {shown}: {error}")),
    })?;
    if !folder.is_dir() {
        return Err(ConnectError::invalid(format!("path is not a directory: {shown}")));
    }
    let mut entries = Vec::new();
    walk(&folder, asked, depth.max(1), &Names::read(), &mut entries)?;
    Ok(entries)
}

/// `shown` is `folder` as the caller wrote it.
fn walk(
    folder: &Path,
    shown: &Path,
    depth: u32,
    names: &Names,
    into: &mut Vec<EntryInfo>,
) -> Result<(), ConnectError> {
    let unreadable = |error: io::Error| {
        ConnectError::internal(format!("error reading directory {}: {error}", folder.display()))
    };
    let mut children = Vec::new();
    match fs::read_dir(folder) {
        Ok(found) => {
            for child in found {
                children.push(child.map_err(unreadable)?.file_name());
            }
        }
        // It went away while its parent was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    }
    children.sort();
    for name in children {
        let path = folder.join(&name);
        let mut entry = match describe(&path, names) {
            Ok(entry) => entry,
            Err(error) if error.code == Code::NotFound => continue,
            Err(error) => return Err(error),
        };
        let shown = shown.join(&name);
        entry.path = shown.to_string_lossy().into_owned();
        into.push(entry);
        if depth > 1 && fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            walk(&path, &shown, depth - 1, names, into)?;
        }
    }
    Ok(())
}

/// Makes a folder with those above it.
pub(super) fn make(path: &Path, user: &User) -> Result<EntryInfo, ConnectError> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let why = format!("directory already exists: {shown}");
            return Err(ConnectError::new(Code::AlreadyExists, why));
        }
        Ok(_) => {
            let why = format!("path already exists but it is not a directory: {shown}");
            return Err(ConnectError::invalid(why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(ConnectError::internal(format!("error getting file info: {error}")));
        }
    }
    ensure_folders(path, user)
        .map_err(|error| ConnectError::internal(format!("error making {shown}: {error}")))?;
    describe(path, &Names::read())
}

/// Renames, and makes the folders above the new name.
pub(super) fn rename(from: &Path, to: &Path, user: &User) -> Result<EntryInfo, ConnectError> {
    if let Some(parent) = to.parent() {
        ensure_folders(parent, user)
            .map_err(|error| ConnectError::internal(format!("error renaming: {error}")))?;
    }
    fs::rename(from, to).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            ConnectError::not_found(format!("source file not found: {}", from.display()))
        }
        _ => ConnectError::internal(format!("error renaming {}: {error}", from.display())),
    })?;
    describe(to, &Names::read())
}

/// Removes whatever is there, with all below it. That nothing is there is fine.
pub(super) fn remove(path: &Path) -> Result<(), ConnectError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error)
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            let why = format!("error removing file or directory: {}: {error}", path.display());
            Err(ConnectError::internal(why))
        }
        _ => Ok(()),
    }
}
