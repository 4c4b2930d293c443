//! The data of tools: saved consistently into sealed files, listed, looked through, thinned out, brought
//! back.
//!
//! What must not live here: when that happens (cron, timers of systemd), and asking whether it should.

mod archive;
mod backup;
mod error;
mod items;
mod journal;
mod restore;
mod sqlite;
mod store;
mod volumes;

pub use backup::{Backup, Saved, backup};
pub use error::{Error, Result};
pub use journal::recover;
pub use restore::{Restored, restore};
pub use store::{Verified, find, list, prune, verify};
