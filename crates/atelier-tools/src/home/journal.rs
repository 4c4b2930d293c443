//! What is under way, written down before it begins: after a kill at any moment the next writer takes it back, or
//! finishes it where it can't be taken back.

use serde::{Deserialize, Serialize};

use super::change::{self, Record};
use super::files;
use crate::context::Context;
use crate::git::Git;
use crate::{Home, Result};

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Only the staging folder is written to.
    Preparing,
    /// Files are moved.
    Placing,
    /// The plugin's commands run.
    Hooks,
    /// All is in place; only the commit lacks.
    Committing,
}

/// Writes a change's record.
pub(super) fn write(home: &Home, record: &Record) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(record).unwrap_or_default();
    files::replace(&path(home, &record.id), &bytes, 0o600)
}

/// Forgets a change, then what was kept for it.
pub(super) fn forget(home: &Home, id: &str) -> Result<()> {
    files::remove(&path(home, id))?;
    files::remove(&home.staging().join(id))
}

fn path(home: &Home, id: &str) -> std::path::PathBuf {
    home.journal().join(format!("{id}.json"))
}

/// What was under way when somebody was killed, the oldest first.
fn under_way(home: &Home) -> Vec<Record> {
    let Ok(entries) = std::fs::read_dir(home.journal()) else { return Vec::new() };
    let read = |entry: std::fs::DirEntry| {
        serde_json::from_slice::<Record>(&std::fs::read(entry.path()).ok()?).ok()
    };
    let mut records: Vec<_> = entries.flatten().filter_map(read).collect();
    records.sort_by(|a, b| a.id.cmp(&b.id));
    records
}

/// Takes back or finishes everything; the caller holds the lock.
pub(super) fn recover(home: &Home, git: &Git, context: &Context<'_>) -> Result<()> {
    for record in under_way(home) {
        context.tell("recovering", &record.message);
        change::recover(home, git, context, &record)?;
    }
    // What stands in no journal was being prepared when the journal could not be written, or is thrown away.
    for folder in [home.staging(), home.journal()] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}
