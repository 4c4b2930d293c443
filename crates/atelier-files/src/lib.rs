//! Files as the kernel sees them: opened below a folder without leaving it, listed, copied with
//! their holes, measured, removed whole, written at once or not at all.
//!
//! Nothing here knows of projects, images or tools, and nothing decides which metadata a copy keeps.

pub mod below;
mod contents;
mod remove;
mod usage;
pub mod whole;
mod xattrs;

pub use contents::{Contents, modified, times};
pub use remove::{RemoveError, empty, remove};
pub use usage::disk_usage;
pub use xattrs::xattrs;
