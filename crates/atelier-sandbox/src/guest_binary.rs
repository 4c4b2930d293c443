//! The guest that this binary carries within it, unpacked once for each version.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::SandboxError;

/// The static guest, built and packed (gzip) by `build.rs`.
static GUEST: &[u8] = include_bytes!(env!("ATELIER_GUEST"));
/// How many bytes it unpacks to, in decimal digits.
const SIZE: &str = env!("ATELIER_GUEST_SIZE");
/// A hash of its contents, part of the file's name: a new version never writes over a file
/// that runs.
const HASH: &str = env!("ATELIER_GUEST_HASH");

/// Unpacks the guest below `bin` and gives its path.
///
/// # Errors
/// When the folder can't be written.
pub(crate) fn unpack(bin: &Path) -> Result<PathBuf, SandboxError> {
    let path = bin.join(format!("atelier-guest-{HASH}"));
    if fs::metadata(&path).is_ok_and(|m| m.len().to_string() == SIZE) {
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
    io::copy(&mut GzDecoder::new(GUEST), &mut file).map_err(SandboxError::io("writing", &fresh))?;
    drop(file);
    fs::rename(&fresh, &path).map_err(SandboxError::io("naming", &path))?;
    Ok(path)
}
