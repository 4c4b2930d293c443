//! Trees of files: scanned, copied, seen through merged layers.
//! Nothing here knows of projects or environments.

pub(crate) mod copy;
mod copy_one;
pub(crate) mod entry;
pub(crate) mod ignore_file;
pub(crate) mod metadata;
pub(crate) mod scan;
pub(crate) mod view;
