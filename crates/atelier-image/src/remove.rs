//! Removing images, and collecting what no image needs any more.

use std::collections::HashSet;

use rustix::fs::FlockOperation;

use crate::disk::chain_of;
use crate::records::Record;
use crate::store::lock;
use crate::{Image, ImageError, ImageId, ImageStore, Removed, Result};
use atelier_files::remove;

impl ImageStore {
    /// Removes a name, and the image with its last name. By its id, an image with several names
    /// goes only by `force`. An image in use stays; by `force` it loses its names, and
    /// [`ImageStore::prune`] removes it once nothing uses it.
    ///
    /// # Errors
    /// [`ImageError::NotHere`], [`ImageError::InUse`], [`ImageError::SeveralNames`].
    pub fn remove(
        &self,
        name_or_id: &str,
        in_use: &dyn Fn(&ImageId) -> bool,
        force: bool,
    ) -> Result<Removed> {
        let image = self.get(name_or_id)?;
        let named = self.named(name_or_id)?;
        let names = match &named {
            Some(named) if image.names.len() > 1 && !force => {
                self.remove_name(&named.name)?;
                return Ok(Removed { untagged: vec![named.name.clone()], ..Removed::default() });
            }
            None if image.names.len() > 1 && !force => {
                return Err(ImageError::SeveralNames {
                    id: image.id.to_string(),
                    names: image.names,
                });
            }
            _ => image.names.clone(),
        };
        let used = in_use(&image.id);
        if used && !force {
            return Err(ImageError::InUse(name_or_id.to_owned()));
        }
        for name in &names {
            self.remove_name(name)?;
        }
        let mut removed = Removed { untagged: names, ..Removed::default() };
        if !used {
            self.forget(&image)?;
            removed.images.push(image.id.clone());
            removed.freed_bytes = self.collect(Some(&image))?;
        }
        Ok(removed)
    }

    /// Removes images without a name, with `all` every image that is not in use, and layers and
    /// disks that no image needs.
    ///
    /// # Errors
    /// [`ImageError::Io`] when something can't be removed.
    pub fn prune(&self, in_use: &dyn Fn(&ImageId) -> bool, all: bool) -> Result<Removed> {
        let mut removed = Removed::default();
        for image in self.list()? {
            if (all || image.names.is_empty()) && !in_use(&image.id) {
                for name in &image.names {
                    self.remove_name(name)?;
                }
                self.forget(&image)?;
                removed.untagged.extend(image.names);
                removed.images.push(image.id);
            }
        }
        removed.freed_bytes = self.collect(None)?;
        Ok(removed)
    }

    fn forget(&self, image: &Image) -> Result<()> {
        remove(&self.record_path(&image.id))?;
        Ok(())
    }

    /// Removes layers and disks that no image needs and nobody works with: those of `only`, or
    /// all. Returns the freed bytes.
    fn collect(&self, only: Option<&Image>) -> Result<u64> {
        let trash = self.temp()?;
        {
            let _lock = lock(self.root(), FlockOperation::LockExclusive)?;
            // Pins first: who has just let go of one has written its record before.
            let mut keep: HashSet<String> = self.pinned().into_iter().collect();
            let records: Vec<Record> =
                self.ids()?.iter().filter_map(|id| self.record(id)).collect();
            keep.extend(records.iter().flat_map(|r| &r.layers).map(crate::LayerId::folder));
            keep.extend(records.iter().map(|r| chain_of(&r.layers)));
            let mut mine = HashSet::new();
            if let Some(image) = only {
                mine.extend(image.layers.iter().map(crate::LayerId::folder));
                mine.insert(chain_of(&image.layers));
            }
            for folder in ["layers", "disks"] {
                self.sort_out(folder, &trash, |name| {
                    let stem = name.split('.').next().unwrap_or(name);
                    !keep.contains(stem) && (only.is_none() || mine.contains(stem))
                })?;
            }
        }
        Ok(remove(trash.path())?)
    }

    fn sort_out(
        &self,
        folder: &str,
        trash: &crate::store::Temp,
        out: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let folder = self.path(folder);
        let entries = std::fs::read_dir(&folder).map_err(ImageError::io("reading", &folder))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(&out) {
                let target = trash.path().join(&name);
                std::fs::rename(entry.path(), target)
                    .map_err(ImageError::io("removing", entry.path()))?;
            }
        }
        Ok(())
    }
}
