//! Disks for VMs: an image's layers as one read-only filesystem in a file, made once for each
//! chain of layers.

mod flatten;
mod mkfs;

use std::path::PathBuf;

use crate::digest::Digest;
use crate::{Disk, DiskKind, Image, ImageError, ImageStore, LayerId, Result};

/// The name of what is made of a chain of layers.
pub(crate) fn chain_of(layers: &[LayerId]) -> String {
    let text: Vec<_> = layers.iter().map(LayerId::as_str).collect();
    Digest::of(text.join("\n").as_bytes()).hex()
}

impl ImageStore {
    /// The image's root filesystem as a file with a filesystem in it: whole, or not there. Made at
    /// the first call, which takes a while; later ones find it.
    ///
    /// # Errors
    /// [`ImageError::NoMkfs`], [`ImageError::Disk`], [`ImageError::NoSpace`].
    pub async fn disk(&self, image: &Image) -> Result<Disk> {
        let chain = chain_of(&image.layers);
        let _alone = self.alone(&format!("disk {chain}")).await;
        let kinds = match self.inner.options.disk {
            Some(kind) => vec![kind],
            None => vec![DiskKind::Erofs, DiskKind::Ext4],
        };
        for kind in &kinds {
            let path = self.disk_path(&chain, *kind);
            if path.is_file() {
                return Ok(Disk { path, kind: *kind });
            }
        }
        let kind = mkfs::choose(&kinds)?;
        let _pin = self.pin(&image.layers)?;
        if self.image(&image.id).is_none() {
            return Err(ImageError::NotHere(image.id.to_string()));
        }
        let temp = self.temp()?;
        let dirs = self.layer_dirs(image);
        let tree = temp.path().join("tree");
        let root = tree.clone();
        let count = tokio::task::spawn_blocking(move || flatten::flatten(&dirs, &root)).await??;
        let file = temp.path().join("disk");
        mkfs::make(kind, &tree, &file, count).await?;
        let path = self.disk_path(&chain, kind);
        std::fs::rename(&file, &path).map_err(ImageError::io("making", &path))?;
        // Thousands of links: off the threads that answer others.
        tokio::task::spawn_blocking(move || drop(temp)).await?;
        Ok(Disk { path, kind })
    }

    fn disk_path(&self, chain: &str, kind: DiskKind) -> PathBuf {
        self.path("disks").join(format!("{chain}.{}", kind.name()))
    }
}
