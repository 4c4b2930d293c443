//! What was changed, written down before it is.

use std::fs::File;
use std::path::PathBuf;

use super::files;
use super::plan::Plan;
use super::{Change, System};
use crate::error::{Error, Result};

/// The format of the file.
const VERSION: u32 = 1;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    SettingUp,
    SetUp,
    Removing,
}

/// The state file.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Journal {
    version: u32,
    pub(super) phase: Phase,
    pub(super) plan: Plan,
}

/// What a file is, compared with what we know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    /// As we wrote it.
    Ours,
    /// As it was before.
    Before,
    /// Something else.
    Foreign,
}

impl Journal {
    pub(super) fn new(phase: Phase, plan: Plan) -> Self {
        Self { version: VERSION, phase, plan }
    }

    pub(super) fn read(system: &System) -> Result<Option<Self>> {
        let path = place(system);
        let Some(file) = files::read(&path)? else { return Ok(None) };
        let damaged = |why: String| Error::Damaged { path: path.clone(), why };
        let journal: Self =
            serde_json::from_slice(&file.content.0).map_err(|e| damaged(e.to_string()))?;
        if journal.version != VERSION {
            return Err(damaged(format!("it has version {}", journal.version)));
        }
        Ok(Some(journal))
    }

    pub(super) fn write(&self, system: &System) -> Result<()> {
        let path = place(system);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Damaged { path: path.clone(), why: e.to_string() })?;
        text.push(b'\n');
        files::replace(&path, &text, None)
    }

    pub(super) fn delete(system: &System) -> Result<()> {
        files::delete(&place(system))
    }

    /// What one of its files is now.
    pub(super) fn now(&self, system: &System, change: &Change) -> Result<Now> {
        let found = files::read(&files::below(&system.root, &change.path))?;
        let found = found.map(|file| file.content);
        let before = change.before.as_ref().map(|file| &file.content);
        if found.as_ref() == Some(&change.after) {
            return Ok(Now::Ours);
        }
        if found.as_ref() == before {
            return Ok(Now::Before);
        }
        // A file that could only be filled in place may have been left half full, by us.
        let half = |whole: &[u8]| found.as_ref().is_some_and(|file| whole.starts_with(&file.0));
        let ours = self.phase != Phase::SetUp
            && (half(&change.after.0) || before.is_some_and(|before| half(&before.0)));
        Ok(if ours { Now::Ours } else { Now::Foreign })
    }

    /// Its files that are as somebody else has made them.
    pub(super) fn foreign(&self, system: &System) -> Result<Vec<PathBuf>> {
        self.those(system, |now| now == Now::Foreign)
    }

    /// Its files that are not as we wrote them, put back by others included.
    pub(super) fn not_ours(&self, system: &System) -> Result<Vec<PathBuf>> {
        self.those(system, |now| now != Now::Ours)
    }

    /// Whether everything is as it was written.
    pub(super) fn stands(&self, system: &System) -> Result<bool> {
        Ok(self.phase == Phase::SetUp && self.not_ours(system)?.is_empty())
    }

    fn those(&self, system: &System, which: impl Fn(Now) -> bool) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for change in &self.plan.files {
            if which(self.now(system, change)?) {
                files.push(change.path.clone());
            }
        }
        Ok(files)
    }
}

/// Keeps two programs from changing the same resolver at once. The lock is on the folder, so that
/// no file is left of it.
pub(super) fn lock(system: &System) -> Result<File> {
    let path = place(system);
    let folder = path.parent().unwrap_or(&path);
    let open = File::open(folder).map_err(Error::file("open", folder))?;
    open.lock().map_err(Error::file("lock", folder))?;
    Ok(open)
}

fn place(system: &System) -> PathBuf {
    files::below(&system.root, &system.state)
}
