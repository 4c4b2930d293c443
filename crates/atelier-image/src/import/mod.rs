//! Importing what somebody has as a file or a folder: a `docker save` archive, an OCI layout, or
//! just a root filesystem.

mod archive;
mod docker;
mod layout;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::commit::{new_tree, root_record};
use crate::digest::Digest;
use crate::layers::Size;
use crate::manifest::RawConfig;
use crate::records::Named;
use crate::reference::local_name;
use crate::unpack::{Budget, CancelOnDrop, Content, LayerError, unpack};
use crate::{Image, ImageError, ImageStore, LayerId, Result};
use archive::{Archive, What};

/// Documents (manifests, configurations) are not larger.
const DOCUMENT: u64 = 8 << 20;

/// A part of an archive or a folder, by where it lies.
#[derive(Debug, Clone)]
struct Part {
    file: PathBuf,
    offset: u64,
    size: u64,
}

impl Part {
    fn open(&self) -> Result<impl Read + use<>> {
        let fail = ImageError::io::<std::io::Error>;
        let mut file = File::open(&self.file).map_err(fail("reading", &self.file))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(fail("reading", &self.file))?;
        Ok(file.take(self.size))
    }

    /// All of a document.
    fn read(&self, what: &str) -> Result<Vec<u8>> {
        if self.size > DOCUMENT {
            return Err(ImageError::invalid(what, format!("it is larger than {DOCUMENT} bytes")));
        }
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes).map_err(ImageError::io("reading", &self.file))?;
        Ok(bytes)
    }
}

/// Where the parts of an image are found by their names, `blobs/sha256/…`.
trait Parts {
    fn part(&self, name: &str) -> Option<Part>;

    fn document(&self, name: &str) -> Result<Vec<u8>> {
        let part = self.part(name);
        let part =
            part.ok_or_else(|| ImageError::invalid("the archive", format!("it has no {name}")))?;
        part.read(name)
    }
}

/// An OCI layout as a folder.
struct Folder<'a>(&'a Path);

impl Parts for Folder<'_> {
    fn part(&self, name: &str) -> Option<Part> {
        let inside = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let file = self.0.join(name);
        let meta = inside.then(|| std::fs::metadata(&file).ok()).flatten()?;
        meta.is_file().then_some(Part { file, offset: 0, size: meta.len() })
    }
}

/// An image as an archive has it: everything but the unpacked layers.
struct Packed {
    config: Vec<u8>,
    /// Each layer's archive, the lowest first.
    layers: Vec<Part>,
    /// The names that the archive gives it.
    names: Vec<String>,
    /// The digest of its manifest, where there is one.
    digest: Option<String>,
}

impl ImageStore {
    /// Makes an image of a file or a folder: an archive of `docker save` or an OCI layout (plain,
    /// gzip or zstd), an OCI layout as a folder, or a root filesystem as an archive or a folder.
    ///
    /// The image gets `name`, or else the names that the archive gives it. Of an archive with
    /// several images, `name` chooses one.
    ///
    /// A root filesystem's device files below `dev/` are left out: every sandbox has its own.
    ///
    /// # Errors
    /// [`ImageError::Invalid`], [`ImageError::Layer`], [`ImageError::Ambiguous`] and others.
    pub async fn import(&self, path: &Path, name: Option<&str>) -> Result<Image> {
        let name = name.map(local_name).transpose()?;
        let budget = Budget::new(self.inner.options.limits, self.root());
        let _cancel = CancelOnDrop(Arc::clone(&budget));
        let (store, path) = (self.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || store.import_now(&path, name, &budget)).await?
    }

    fn import_now(&self, path: &Path, name: Option<String>, budget: &Arc<Budget>) -> Result<Image> {
        let meta = std::fs::metadata(path).map_err(ImageError::io("reading", path))?;
        if meta.is_dir() {
            let folder = Folder(path);
            if folder.part("oci-layout").is_some() && folder.part("index.json").is_some() {
                return self.import_packed(layout::read(&folder, name.as_deref())?, name, budget);
            }
            return self.adopt_root(path, name);
        }
        match archive::look(path, budget)? {
            What::Root => self.import_root(path, name, budget),
            What::Image => {
                let temp = self.temp()?;
                let archive = Archive::open(path, &temp, budget)?;
                let packed = if archive.part("index.json").is_some() {
                    layout::read(&archive, name.as_deref())?
                } else {
                    docker::read(&archive, name.as_deref())?
                };
                self.import_packed(packed, name, budget)
            }
        }
    }

    fn import_root(
        &self,
        path: &Path,
        name: Option<String>,
        budget: &Arc<Budget>,
    ) -> Result<Image> {
        let made = self.temp()?;
        let tree = new_tree(&made)?;
        let file = File::open(path).map_err(ImageError::io("reading", path))?;
        let done =
            unpack(file, &tree, budget, Content::Root).map_err(LayerError::of(path.display()))?;
        let layer = LayerId::new(&done.diff_id);
        let _pin = self.pin(std::slice::from_ref(&layer))?;
        self.publish(&layer, &made, false, Size::Now)?;
        let record = root_record(vec![layer], "import of a root filesystem");
        let named = name.map(|name| Named { name, id: record.id.clone(), digest: None });
        self.keep(&record, named.as_slice())
    }

    fn import_packed(
        &self,
        packed: Packed,
        name: Option<String>,
        budget: &Arc<Budget>,
    ) -> Result<Image> {
        let config = RawConfig::read(&packed.config)?;
        let diff_ids = config.diff_ids()?;
        self.check_layers(diff_ids.len(), packed.layers.len())?;
        let record = config.record(&packed.config, packed.digest)?;
        let _pin = self.pin(&record.layers)?;
        for (part, diff_id) in packed.layers.iter().zip(&diff_ids) {
            self.import_layer(part, diff_id, budget)?;
        }
        let names = name.map_or(packed.names, |name| vec![name]);
        let named: Vec<_> = names
            .into_iter()
            .map(|name| Named { name, id: record.id.clone(), digest: None })
            .collect();
        self.keep(&record, &named)
    }

    fn import_layer(&self, part: &Part, diff_id: &Digest, budget: &Arc<Budget>) -> Result<()> {
        let layer = LayerId::new(diff_id);
        if self.layer(&layer).is_some() {
            return Ok(());
        }
        self.unpack_layer(&layer, diff_id, part.open()?, budget)
    }
}
