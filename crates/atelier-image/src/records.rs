//! Records of images and their names: one small file each, replaced whole.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use atelier_files::whole;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::reference::{Reference, candidates, local_name};
use crate::settle::Work;
use crate::{Image, ImageConfig, ImageError, ImageId, ImageStore, LayerId, Result};

/// Of the store's small files: the folder above them is its owner's alone.
pub(crate) const MODE: u32 = 0o644;
/// The fewest digits of an id that stand for it.
const SHORTEST_ID: usize = 4;

/// An image, as it is kept: without its names, which move.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub id: ImageId,
    pub digest: Option<String>,
    pub config: ImageConfig,
    pub layers: Vec<LayerId>,
    pub created_at: Timestamp,
    #[serde(default)]
    pub created_by: Option<String>,
    pub os: String,
    pub architecture: String,
}

/// A name, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    pub name: String,
    pub id: ImageId,
    /// The digest of the manifest that the registry had under this name.
    pub digest: Option<String>,
}

impl ImageStore {
    /// The image of that name, id, beginning of an id (at least four digits) or
    /// `name@sha256:…`.
    ///
    /// # Errors
    /// [`ImageError::NotHere`], [`ImageError::Ambiguous`], [`ImageError::BadName`].
    pub fn get(&self, name_or_id: &str) -> Result<Image> {
        if let Some(named) = self.named(name_or_id)? {
            return self.image(&named.id).ok_or_else(|| ImageError::NotHere(name_or_id.into()));
        }
        let id = self.by_id(name_or_id)?;
        id.and_then(|id| self.image(&id)).ok_or_else(|| ImageError::NotHere(name_or_id.to_owned()))
    }

    /// Every image that is here, the newest first.
    ///
    /// # Errors
    /// [`ImageError::Io`] when the store can't be read.
    pub fn list(&self) -> Result<Vec<Image>> {
        let names = self.names()?;
        let mut images: Vec<_> = self
            .ids()?
            .iter()
            .filter_map(|id| Some(self.assemble(self.record(id)?, &names)))
            .collect();
        images.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// Gives an image (by name or id) one more name, and returns the full one. A name that another
    /// image has moves to this one.
    ///
    /// # Errors
    /// As [`ImageStore::get`].
    pub fn tag(&self, image: &str, name: &str) -> Result<String> {
        let image = self.get(image)?;
        let name = local_name(name)?;
        self.write_name(&Named { name: name.clone(), id: image.id, digest: None }, whole::replace)?;
        Ok(name)
    }

    /// Takes a name away; the image stays.
    ///
    /// # Errors
    /// [`ImageError::NotHere`] when no image has it.
    pub fn untag(&self, name: &str) -> Result<String> {
        let named = self.named(name)?.ok_or_else(|| ImageError::NotHere(name.to_owned()))?;
        self.remove_name(&named.name)?;
        Ok(named.name)
    }

    /// Keeps an image and returns it as it is from now on.
    pub(crate) fn keep(&self, record: &Record, names: &[Named]) -> Result<Image> {
        let json =
            serde_json::to_vec_pretty(record).map_err(|e| ImageError::invalid("image", e))?;
        let path = self.record_path(&record.id);
        whole::replace_soon(&path, &json, MODE).map_err(ImageError::io("writing", path))?;
        for name in names {
            self.write_name(name, whole::replace_soon)?;
        }
        self.inner.settler.soon(self.root(), Work::Files);
        self.image(&record.id).ok_or_else(|| ImageError::NotHere(record.id.to_string()))
    }

    /// The image of an id, if it and all its layers are here.
    pub(crate) fn image(&self, id: &ImageId) -> Option<Image> {
        let record = self.record(id)?;
        Some(self.assemble(record, &self.names().ok()?))
    }

    pub(crate) fn record(&self, id: &ImageId) -> Option<Record> {
        let json = std::fs::read(self.record_path(id)).ok()?;
        let record: Record = serde_json::from_slice(&json).ok()?;
        record.layers.iter().all(|l| self.layer_folder(l).is_dir()).then_some(record)
    }

    pub(crate) fn record_path(&self, id: &ImageId) -> PathBuf {
        self.path("records").join(format!("{}.json", id.hex()))
    }

    /// Every id that there is a record of.
    pub(crate) fn ids(&self) -> Result<Vec<ImageId>> {
        let files = files(&self.path("records"))?;
        Ok(files
            .iter()
            .filter_map(|f| format!("sha256:{}", f.file_stem()?.to_str()?).parse().ok())
            .collect())
    }

    /// Every name.
    pub(crate) fn names(&self) -> Result<Vec<Named>> {
        let files = files(&self.path("names"))?;
        let mut names: Vec<Named> = files
            .iter()
            .filter_map(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok())
            .collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(names)
    }

    /// What is kept under a name, as the user may write it. `None` as well for what can't be a
    /// name but may be an id.
    pub(crate) fn named(&self, name: &str) -> Result<Option<Named>> {
        if name.parse::<ImageId>().is_ok() {
            return Ok(None);
        }
        let reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return self.by_digest(&reference);
        }
        Ok(candidates(name).iter().find_map(|name| self.read_name(name)))
    }

    /// `name@sha256:…`: whatever was pulled from there with this digest.
    fn by_digest(&self, reference: &Reference) -> Result<Option<Named>> {
        let wanted = reference.digest.as_ref().map(ToString::to_string);
        let place = reference.place();
        let fits = |named: &Named| {
            named.digest == wanted
                && Reference::parse(&named.name).is_ok_and(|other| other.place() == place)
        };
        Ok(self.names()?.into_iter().find(fits))
    }

    fn by_id(&self, text: &str) -> Result<Option<ImageId>> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() < SHORTEST_ID || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.ids()?;
        found.retain(|id| id.hex().starts_with(digits));
        match found.as_slice() {
            [] => Ok(None),
            [id] => Ok(Some(id.clone())),
            _ => Err(ImageError::Ambiguous {
                name: text.to_owned(),
                candidates: found.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    fn read_name(&self, name: &str) -> Option<Named> {
        let json = std::fs::read(self.name_path(name)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn write_name(
        &self,
        named: &Named,
        write: fn(&Path, &[u8], u32) -> std::io::Result<()>,
    ) -> Result<()> {
        let json = serde_json::to_vec(named).map_err(|e| ImageError::invalid("name", e))?;
        let path = self.name_path(&named.name);
        write(&path, &json, MODE).map_err(ImageError::io("writing", path))
    }

    pub(crate) fn remove_name(&self, name: &str) -> Result<()> {
        let path = self.name_path(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ImageError::io("removing", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Names hold slashes and may be longer than file names.
    fn name_path(&self, name: &str) -> PathBuf {
        self.path("names").join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }

    fn assemble(&self, record: Record, names: &[Named]) -> Image {
        let layers: HashSet<_> = record.layers.iter().collect();
        let size =
            |layer: &&LayerId| self.layer(layer).and_then(|info| info.size_bytes).unwrap_or(0);
        let size_bytes = layers.iter().map(size).sum();
        let mine = names.iter().filter(|named| named.id == record.id);
        let digest = mine.clone().find_map(|named| named.digest.clone()).or(record.digest);
        Image {
            names: mine.map(|named| named.name.clone()).collect(),
            digest,
            config: record.config,
            layers: record.layers,
            size_bytes,
            created_at: record.created_at,
            created_by: record.created_by,
            os: record.os,
            architecture: record.architecture,
            id: record.id,
        }
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(ImageError::io("reading", folder))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    Ok(files)
}
