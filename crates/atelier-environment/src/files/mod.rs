//! Files as the kernel sees them: safe opening, scanning, copying, merged layers, deleting.
//! Nothing here knows of projects or environments.

pub(crate) mod beneath;
pub(crate) mod copy;
mod copy_one;
pub(crate) mod data;
pub(crate) mod entry;
pub(crate) mod ignore_file;
pub(crate) mod remove;
pub(crate) mod scan;
pub(crate) mod view;
