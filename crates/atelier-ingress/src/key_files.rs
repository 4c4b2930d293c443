//! Keys and certificates as files: written so that a kill at any moment leaves a whole file or none, and
//! read only when nobody else can.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::error::IngressError;

/// Makes the folder for keys, for its owner only.
pub(crate) fn folder(path: &Path) -> Result<(), IngressError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(IngressError::file(path))
}

/// The text of a file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<String>, IngressError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IngressError::file(path)(error)),
    }
}

/// The same for a private key, which is refused when others may read it.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>, IngressError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let mode = std::fs::metadata(path).map_err(IngressError::file(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(IngressError::OpenKey { path: path.to_owned(), mode: mode & 0o777 });
    }
    Ok(Some(text))
}

/// Writes a new file. When another process was faster, its file stays, and the answer is `false`.
pub(crate) fn create(path: &Path, text: &str, mode: u32) -> Result<bool, IngressError> {
    match written(path, text, mode)?.persist_noclobber(path) {
        Ok(_) => flush_folder(path).map(|()| true),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(IngressError::file(path)(error.error)),
    }
}

/// Writes a file in place of one that may be there.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> Result<(), IngressError> {
    written(path, text, mode)?
        .persist(path)
        .map_err(|error| IngressError::file(path)(error.error))?;
    flush_folder(path)
}

fn written(path: &Path, text: &str, mode: u32) -> Result<tempfile::NamedTempFile, IngressError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(IngressError::file(path))
}

fn flush_folder(path: &Path) -> Result<(), IngressError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(IngressError::file(folder))
}
