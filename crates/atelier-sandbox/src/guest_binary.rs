//! The guest that this binary carries within it, unpacked once for each version.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::SandboxError;

/// The static guest, built by `build.rs`.
static GUEST: &[u8] = include_bytes!(env!("ATELIER_GUEST"));
/// A hash of its contents, part of the file's name: a new version never writes over a file
/// that runs.
const HASH: &str = env!("ATELIER_GUEST_HASH");

/// Unpacks the guest below `bin` and gives its path.
///
/// # Errors
/// When the folder can't be written.
pub(crate) fn unpack(bin: &Path) -> Result<PathBuf, SandboxError> {
    let path = bin.join(format!("atelier-guest-{HASH}"));
    if fs::metadata(&path).is_ok_and(|m| m.len() == GUEST.len() as u64) {
        return Ok(path);
    }
    fs::create_dir_all(bin).map_err(SandboxError::io("making", bin))?;
    let fresh = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(&fresh)
        .map_err(SandboxError::io("making", &fresh))?;
    file.write_all(GUEST).map_err(SandboxError::io("writing", &fresh))?;
    drop(file);
    fs::rename(&fresh, &path).map_err(SandboxError::io("naming", &path))?;
    Ok(path)
}
