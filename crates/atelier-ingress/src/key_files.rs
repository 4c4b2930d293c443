//! Keys and certificates as files: written so that a kill at any moment leaves a whole file or none, and
//! read only when nobody else can.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use atelier_files::whole;

use crate::error::IngressError;

/// Makes the folder for keys, for its owner only.
pub(crate) fn folder(path: &Path) -> Result<(), IngressError> {
    whole::private_folder(path).map_err(IngressError::file(path))
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
    whole::create(path, text.as_bytes(), mode).map_err(IngressError::file(path))
}

/// Writes a file in place of one that may be there.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> Result<(), IngressError> {
    whole::replace(path, text.as_bytes(), mode).map_err(IngressError::file(path))
}
