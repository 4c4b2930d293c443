//! Environments: isolated copies of a project, what changed in them, and the way back.
//!
//! What lives here is about files only: which project we stand in, its settings, frozen bases and
//! the layers on them, the differences, bringing them back, deleting. The crate is synchronous.
//! It mounts nothing and starts no process but git; no SQL, no terminal.

mod apply;
mod base;
mod branches;
mod changes;
mod config;
mod create;
mod error;
mod files;
mod git;
mod policy;
mod project;
mod quote;
mod recipe;
mod render;
mod shared_scan;
mod snapshot;
mod sync;
mod workspace;

pub use apply::{Applied, ApplyOptions, Branch, apply, carried, export, recover_apply, unapplied};
pub use base::gc::{Collected, gc_bases, gc_leftovers};
pub use branches::arrived;
pub use changes::{Change, Diff, DiffOptions, Status, diff};
pub use config::{
    ByteSize, Config, Copy, FILE_NAME, Files, Network, Render, Replace, Resources, template,
};
pub use create::{IGNORE_FILE, create_workspace, left_out, remove_layers};
pub use error::{Conflict, Error, Result};
pub use files::scan::Skipped;
pub use project::{GitInfo, Project};
pub use recipe::{Recipe, Source};
pub use sync::{
    Prefer, Sync, SyncOptions, is_half_synced, recover as recover_sync, settle as settle_sync, sync,
};
pub use workspace::{LayerMode, Mode, Stats, Synced, Workspace};
