//! Environments: isolated copies of a project, what changed in them, and the way back.
//!
//! What lives here is about files only: which project we stand in, its settings, frozen bases and
//! the layers on them, the differences, bringing them back, deleting. The crate is synchronous.
//! It mounts nothing and starts no process but git; no SQL, no terminal.

mod apply;
mod base;
mod changes;
mod config;
mod create;
mod error;
mod files;
mod git;
mod project;
mod quote;
mod shared_scan;
mod workspace;

pub use apply::{Applied, ApplyOptions, Branch, apply, recover_apply};
pub use base::gc::{Collected, gc_bases, gc_leftovers};
pub use changes::{Change, Diff, DiffOptions, Status, diff};
pub use config::{ByteSize, Config, FILE_NAME, Network, Resources, template};
pub use create::{IGNORE_FILE, create_workspace, remove_layers};
pub use error::{Conflict, Error, Result};
pub use files::remove::disk_usage;
pub use files::scan::Skipped;
pub use project::{GitInfo, Project};
pub use workspace::{LayerMode, Mode, Source, Stats, Workspace};
