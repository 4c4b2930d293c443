//! Layers in the store: looking them up, putting them there, keeping them from being collected
//! while somebody works with them.

use std::path::{Path, PathBuf};

use atelier_files::{disk_usage, whole};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::records::MODE;
use crate::settle::Work;
use crate::store::{Temp, lock};
use crate::{Image, ImageError, ImageStore, LayerId, Result};

/// What is known of a layer beside its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerInfo {
    /// What it takes on the disk, once it was measured.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// Whether it hides everything below it.
    #[serde(default)]
    pub opaque: bool,
    /// The boot in which it was made, until it is known to be on the disk. After a crash of the
    /// machine such a layer may be half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unflushed: Option<String>,
}

/// When a layer is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Before it is there.
    Now,
    /// Afterwards: somebody waits for a snapshot.
    Later,
}

/// Keeps layers from being collected until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    files: Vec<PathBuf>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl ImageStore {
    /// The folders of an image's layers, the topmost first, ready to be the lower folders of an
    /// overlay with `userxattr`. Each folder comes once, since overlays refuse one that comes twice; what is below
    /// a layer that hides everything is left out.
    #[must_use]
    pub fn layer_dirs(&self, image: &Image) -> Vec<PathBuf> {
        let mut dirs = Vec::with_capacity(image.layers.len());
        for layer in image.layers.iter().rev() {
            let dir = self.layer_folder(layer).join("tree");
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
            if self.layer(layer).is_some_and(|info| info.opaque) {
                break;
            }
        }
        dirs
    }

    pub(crate) fn layer_folder(&self, layer: &LayerId) -> PathBuf {
        self.path("layers").join(layer.folder())
    }

    /// What is known of a layer, `None` when it is not here.
    pub(crate) fn layer(&self, layer: &LayerId) -> Option<LayerInfo> {
        read_info(&self.layer_folder(layer))
    }

    /// Pins layers, whether they are there or not. Whoever finds them after that keeps them.
    pub(crate) fn pin(&self, layers: &[LayerId]) -> Result<Pin> {
        let _lock = lock(self.root(), FlockOperation::LockShared)?;
        let mut pin = Pin { files: Vec::with_capacity(layers.len()) };
        for layer in layers {
            let name = format!("{}.{}", uuid::Uuid::new_v4().simple(), layer.folder());
            let file = self.pins().join(name);
            std::fs::write(&file, b"").map_err(ImageError::io("writing", &file))?;
            pin.files.push(file);
        }
        Ok(pin)
    }

    /// Puts a finished layer (`tree/` in `made`) into the store. When somebody was faster, theirs
    /// stays. The caller has pinned it.
    pub(crate) fn publish(
        &self,
        layer: &LayerId,
        made: &Temp,
        opaque: bool,
        size: Size,
    ) -> Result<()> {
        let size_bytes = match size {
            Size::Now => measure(made.path()),
            Size::Later => None,
        };
        let info = LayerInfo { size_bytes, opaque, unflushed: boot_id() };
        write_info(made.path(), &info)?;
        let folder = self.layer_folder(layer);
        match std::fs::rename(made.path(), &folder) {
            Ok(()) => self.settle(folder, info),
            Err(_) if read_info(&folder).is_some() => {}
            Err(error) => return Err(ImageError::io("making", &folder)(error)),
        }
        Ok(())
    }

    /// In the background: measures a layer, waits until it is on the disk, and notes both.
    fn settle(&self, folder: PathBuf, info: LayerInfo) {
        self.inner.settler.soon(self.root(), Work::Layer(folder, info));
    }

    /// Forgets layers that may be half because the machine went down before they were on the disk.
    /// Those that nobody else has are kept: half is better than nothing.
    pub(crate) fn drop_unflushed(&self) -> Result<()> {
        let boot = boot_id();
        let folders = self.path("layers");
        let all = std::fs::read_dir(&folders).map_err(ImageError::io("reading", &folders))?;
        for entry in all.flatten() {
            let name = entry.file_name();
            let from_elsewhere = name.to_string_lossy().starts_with("sha256-");
            let half = read_info(&entry.path())
                .is_none_or(|info| info.unflushed.is_some() && info.unflushed != boot);
            if from_elsewhere && half {
                let trash = self.temp()?;
                let _ = std::fs::rename(entry.path(), trash.path().join("layer"));
            } else if let Some(info) = read_info(&entry.path())
                && (info.size_bytes.is_none()
                    || (info.unflushed.is_some() && info.unflushed != boot))
            {
                // Whoever made it was killed before it could do that.
                self.settle(entry.path(), info);
            }
        }
        Ok(())
    }
}

const INFO: &str = "layer.json";

pub(crate) fn measure(folder: &Path) -> Option<u64> {
    disk_usage(&folder.join("tree")).ok()
}

pub(crate) fn read_info(folder: &Path) -> Option<LayerInfo> {
    serde_json::from_slice(&std::fs::read(folder.join(INFO)).ok()?).ok()
}

pub(crate) fn write_info(folder: &Path, info: &LayerInfo) -> Result<()> {
    let json = serde_json::to_vec(info).map_err(|e| ImageError::invalid(INFO, e))?;
    let path = folder.join(INFO);
    whole::replace_soon(&path, &json, MODE).map_err(ImageError::io("writing", path))
}

/// What tells one run of the machine from another.
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}
