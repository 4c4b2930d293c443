//! A new image from an old one and what a sandbox wrote: snapshots and templates. No archive is
//! made of it, because this must be quick.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::digest::Digest;
use crate::files::copy::{Origin, copy_tree};
use crate::layers::Size;
use crate::records::{Named, Record};
use crate::reference::local_name;
use crate::store::Temp;
use crate::unpack::{Budget, CancelOnDrop, Content, LayerError, unpack};
use crate::{Image, ImageChange, ImageError, ImageId, ImageStore, LayerId, Result};

impl ImageStore {
    /// Makes an image of `parent`'s layers and one more: the overlay upper folder `upper`, moved
    /// (`take`, where it is on the same filesystem) or copied. Nothing may write to it meanwhile.
    ///
    /// The overlay must have been mounted with `redirect_dir=off,metacopy=off`, since a renamed
    /// folder or a file without data makes no sense without that mount.
    ///
    /// # Errors
    /// [`ImageError::NotHere`] for the parent, [`ImageError::Io`], [`ImageError::NoSpace`].
    pub async fn commit(
        &self,
        parent: &ImageId,
        upper: &Path,
        change: ImageChange,
        take: bool,
    ) -> Result<Image> {
        let (store, parent, upper) = (self.clone(), parent.clone(), upper.to_owned());
        tokio::task::spawn_blocking(move || store.commit_now(&parent, &upper, change, take)).await?
    }

    /// Makes an image of `parent`'s layers and one more: an archive of a layer, as somebody who is not
    /// trusted sends it. What holds for a registry's layers holds for it.
    ///
    /// # Errors
    /// As [`ImageStore::commit`], and [`ImageError::Layer`] when the archive is refused.
    pub async fn commit_archive(
        &self,
        parent: &ImageId,
        archive: impl Read + Send + 'static,
        change: ImageChange,
    ) -> Result<Image> {
        let (store, parent) = (self.clone(), parent.clone());
        let budget = Budget::new(self.inner.options.limits, self.root());
        let _cancel = CancelOnDrop(Arc::clone(&budget));
        let commit = move || {
            let of = format!("over {parent}");
            store.commit_layer(&parent, change, |tree| {
                let done = unpack(archive, &new_tree(tree)?, &budget, Content::Layer);
                Ok(done.map_err(LayerError::of(of))?.opaque)
            })
        };
        tokio::task::spawn_blocking(commit).await?
    }

    fn commit_now(
        &self,
        parent: &ImageId,
        upper: &Path,
        change: ImageChange,
        take: bool,
    ) -> Result<Image> {
        self.commit_layer(parent, change, |made| fill(made, upper, take).map(|()| false))
    }

    /// The layer is what `fill` makes; it says whether everything below is hidden by it.
    fn commit_layer(
        &self,
        parent: &ImageId,
        change: ImageChange,
        fill: impl FnOnce(&Temp) -> Result<bool>,
    ) -> Result<Image> {
        let name = change.name.as_deref().map(local_name).transpose()?;
        let layer = LayerId::unique();
        let mut layers = self.get(parent.as_str())?.layers;
        layers.push(layer.clone());
        let _pin = self.pin(&layers)?;
        // Only now, with its layers pinned, is the parent known to stay.
        let parent = self.get(parent.as_str())?;
        let made = self.temp()?;
        let opaque = fill(&made)?;
        self.publish(&layer, &made, opaque, Size::Later)?;
        let record = Record {
            id: local_id(&layers, &change),
            digest: None,
            config: change.config,
            layers,
            created_at: Timestamp::now(),
            created_by: Some(change.created_by).filter(|by| !by.is_empty()),
            os: parent.os,
            architecture: parent.architecture,
        };
        let named = name.map(|name| Named { name, id: record.id.clone(), digest: None });
        self.keep(&record, named.as_slice())
    }

    /// An image of one layer that is a copy of the folder `root`.
    pub(crate) fn adopt_root(&self, root: &Path, name: Option<String>) -> Result<Image> {
        let layer = LayerId::unique();
        let _pin = self.pin(std::slice::from_ref(&layer))?;
        let made = self.temp()?;
        copy_tree(root, &new_tree(&made)?, Origin::Files)?;
        self.publish(&layer, &made, false, Size::Now)?;
        let record = root_record(vec![layer], &format!("import of {}", root.display()));
        let named = name.map(|name| Named { name, id: record.id.clone(), digest: None });
        self.keep(&record, named.as_slice())
    }
}

/// The record of an image that is nothing but a root filesystem of this machine's kind.
pub(crate) fn root_record(layers: Vec<LayerId>, created_by: &str) -> Record {
    let (os, architecture, _) = crate::platform::Platform::here().parts();
    let change = ImageChange { created_by: created_by.to_owned(), ..ImageChange::default() };
    Record {
        id: local_id(&layers, &change),
        digest: None,
        config: change.config,
        layers,
        created_at: Timestamp::now(),
        created_by: Some(change.created_by),
        os,
        architecture,
    }
}

/// `tree/` in a fresh folder, for the content of a layer.
pub(crate) fn new_tree(made: &Temp) -> Result<PathBuf> {
    let tree = made.path().join("tree");
    std::fs::create_dir(&tree).map_err(ImageError::io("making", &tree))?;
    // The root of a filesystem is everybody's; what it lies in is not.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&tree, open).map_err(ImageError::io("making", &tree))?;
    Ok(tree)
}

fn fill(made: &Temp, upper: &Path, take: bool) -> Result<()> {
    if take && std::fs::rename(upper, made.path().join("tree")).is_ok() {
        return Ok(());
    }
    copy_tree(upper, &new_tree(made)?, Origin::Layer)?;
    if take {
        atelier_files::remove(upper)?;
    }
    Ok(())
}

/// The digest of what makes the image what it is.
fn local_id(layers: &[LayerId], change: &ImageChange) -> ImageId {
    let json = serde_json::json!({
        "layers": layers, "config": change.config, "created_by": change.created_by,
    });
    ImageId::new(&Digest::of(json.to_string().as_bytes()))
}
