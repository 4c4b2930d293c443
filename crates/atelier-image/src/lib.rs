//! OCI images on disk: pulled from a registry, imported from a file, built, or committed from what
//! a sandbox wrote; unpacked once into layers that images share; handed out as an overlay's lower
//! folders or as a disk for a VM.
//!
//! What lives here: references, the registry protocol, archives, unpacking, the store. No sandbox,
//! no mount, no SQL (a folder is the store), no command line.

mod build;
mod command;
mod commit;
mod digest;
mod disk;
mod error;
mod files;
mod image;
mod import;
mod layers;
mod manifest;
mod options;
mod platform;
mod pull;
mod records;
mod reference;
mod registry;
mod remove;
mod settle;
mod store;
mod tar;
mod unpack;

pub use error::{ImageError, Result};
pub use image::{Image, ImageConfig, ImageId, LayerId, Progress, Removed};
pub use options::{BuildRequest, Disk, DiskKind, ImageChange, Limits, PullOptions, StoreOptions};
pub use store::ImageStore;
pub use unpack::LayerError;
