//! Trees on the disk: opening paths without leaving a root, copying, measuring, removing, and the
//! marks of overlay layers. Nothing here knows what an image is.

pub(crate) mod beneath;
pub(crate) mod copy;
pub(crate) mod copy_one;
pub(crate) mod marks;
pub(crate) mod remove;
pub(crate) mod usage;

use std::path::Path;

use crate::ImageError;

/// When a file that was written must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before the call returns.
    Now,
    /// Somebody else sees to it.
    Elsewhere,
}

/// Writes a small file whole: aside, then renamed over the old one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], flush: Flush) -> Result<(), ImageError> {
    use std::io::Write;
    let aside = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create_new(&aside)?;
        file.write_all(bytes)?;
        if flush == Flush::Now {
            file.sync_all()?;
        }
        std::fs::rename(&aside, path)?;
        Ok(())
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&aside);
        ImageError::io("writing", path)(error)
    })
}
