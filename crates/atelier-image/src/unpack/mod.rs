//! Unpacking a layer's archive into a folder, possibly as the superuser, from whoever made it.
//!
//! What holds whatever the archive says:
//! - nothing outside the folder is touched: names with `..` are refused, and symlinks of the
//!   archive lead no further than the folder, as after `chroot`;
//! - hard links link files of the same archive;
//! - no device is made but the whiteouts that `.wh.` names ask for, and no attribute is set
//!   but `user.*` and `security.capability`; never the kernel's marks of overlay layers;
//! - size, ratio, entries and free space have limits, and so has memory.
//!
//! Layers that are unpacked by an ordinary user belong to that user, whatever their archive says,
//! and are readable and writable for it.

mod budget;
mod decompress;
mod entry;
mod error;
mod hidden;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub(crate) use budget::{Budget, CancelOnDrop, Metered};
pub(crate) use decompress::{Compression, Decoder};
pub use error::LayerError;

use crate::digest::{Digest, Hashing};
use crate::tar::TarReader;
use entry::Unpacker;

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A layer of an image: `.wh.` names hide what is below, devices are refused.
    Layer,
    /// A whole root filesystem: devices below `dev/` are left out, every sandbox has its own.
    Root,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// The digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Whether the layer hides everything below it.
    pub opaque: bool,
}

/// Unpacks `source`, compressed or not, into the empty folder `target`.
pub(crate) fn unpack(
    source: impl Read,
    target: &Path,
    budget: &Arc<Budget>,
    content: Content,
) -> Result<Unpacked, LayerError> {
    let plain = Metered::decoder(source, budget)?;
    let mut archive = TarReader::new(Hashing::new(plain));
    let mut unpacker = Unpacker::new(target, content)?;
    while let Some(entry) = archive.next()? {
        budget.entry()?;
        budget.announced(archive.remaining())?;
        unpacker.entry(&entry, &mut archive, budget)?;
    }
    let opaque = unpacker.finish()?;
    // What is behind the last entry counts for the digest.
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(LayerError::from_io)?;
    Ok(Unpacked { diff_id: rest.digest(), opaque })
}
