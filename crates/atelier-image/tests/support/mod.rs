//! What the tests of images share: layers and archives made by hand, registries, stores.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod archive;
pub mod fake;
pub mod http;
pub mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_api::Fault;
use atelier_image::{Image, ImageError, ImageStore, Progress, StoreOptions};
use tempfile::TempDir;

/// A store in a folder of its own.
pub struct Home {
    pub dir: TempDir,
    pub store: ImageStore,
}

impl Home {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: StoreOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&dir.path().join("images"), options).unwrap();
        Self { dir, store }
    }

    pub fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    /// The names below a folder of the store.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.images().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What is being made: nothing, when nobody does anything.
    pub fn leftovers(&self) -> Vec<String> {
        let sessions = self.names("tmp");
        let mut left = Vec::new();
        for session in sessions {
            left.extend(self.names(&format!("tmp/{session}")));
            left.extend(self.names(&format!("tmp/{session}/pins")));
        }
        left.retain(|name| name != "pins");
        left
    }

    /// Everything of an image in one tree, as a path → content map of its regular files.
    pub fn layer_file(&self, image: &Image, path: &str) -> Option<String> {
        self.store
            .layer_dirs(image)
            .iter()
            .find_map(|dir| std::fs::read_to_string(dir.join(path)).ok())
    }
}

/// Options that look at nothing of the user who runs the tests.
pub fn options() -> StoreOptions {
    StoreOptions {
        auth_files: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(20),
        ..StoreOptions::default()
    }
}

/// Nobody listens.
pub fn quiet(_: Progress) {}

/// The code of a failure.
pub fn code<T: std::fmt::Debug>(result: Result<T, ImageError>) -> &'static str {
    let error = result.unwrap_err();
    eprintln!("{error} ({:?})", error.hints());
    error.code()
}

/// What a layer makes of a path: `None` when nothing is there.
pub fn kind_of(path: &Path) -> Option<std::fs::FileType> {
    std::fs::symlink_metadata(path).ok().map(|meta| meta.file_type())
}

/// Whether a path is a whiteout.
pub fn is_whiteout(path: &Path) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    std::fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
}

/// Whether a folder hides what is below it.
pub fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 4];
    rustix::fs::getxattr(path, "user.overlay.opaque", value.as_mut_slice()).is_ok()
}
