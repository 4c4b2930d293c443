//! The builds that there are: those of this process in memory, all of them in files, so that a
//! client that asks after a restart is told what became of its build.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use uuid::Uuid;

use super::log::{self, Entry, Level};
use super::record::{Reason, Record, Status};
use crate::E2bError;

/// How many builds are remembered; the oldest that are over go first.
const REMEMBERED: usize = 500;

/// One build with its log.
pub(crate) type Shared = Arc<Build>;

#[derive(Debug)]
pub(crate) struct Build {
    record: Mutex<Record>,
    /// Absent when it is in the file only.
    log: Mutex<Option<Vec<Entry>>>,
}

impl Build {
    pub(crate) fn record(&self) -> Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a line into its log.
    pub(crate) fn say(&self, level: Level, step: Option<&str>, message: &str) {
        let mut entries = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log::push(entries.get_or_insert_default(), level, step, message);
    }
}

/// All builds.
#[derive(Default)]
pub(crate) struct Builds {
    all: Mutex<HashMap<Uuid, Shared>>,
    loaded: OnceCell<()>,
}

impl Builds {
    /// Remembers a build that was asked for.
    pub(crate) async fn register(&self, folder: &Path, record: Record) -> Result<(), E2bError> {
        self.load(folder).await?;
        save(folder, &record).await?;
        let build = Build { record: Mutex::new(record.clone()), log: Mutex::new(Some(Vec::new())) };
        let forgotten = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(record.id, Arc::new(build));
            forget(&mut all)
        };
        for id in forgotten {
            // A file that stays is read again after a restart, and forgotten then.
            let _ = tokio::fs::remove_file(path(folder, id, "json")).await;
            let _ = tokio::fs::remove_file(path(folder, id, "log")).await;
        }
        Ok(())
    }

    /// The build of an id.
    pub(crate) async fn find(&self, folder: &Path, id: Uuid) -> Result<Option<Shared>, E2bError> {
        self.load(folder).await?;
        Ok(self.all.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned())
    }

    /// The builds of a template, the newest first.
    pub(crate) async fn of(&self, folder: &Path, template: &str) -> Result<Vec<Record>, E2bError> {
        self.load(folder).await?;
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records: Vec<Record> = all.values().map(|build| build.record()).collect();
        records.retain(|record| record.template == template);
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        Ok(records)
    }

    /// Notes that a build's steps are being done.
    pub(super) async fn begin(&self, folder: &Path, build: &Shared) -> Result<(), E2bError> {
        let record = {
            let mut record = build.record.lock().unwrap_or_else(PoisonError::into_inner);
            if record.status != Status::Waiting {
                let why = format!("Build '{}' was started already", record.id);
                return Err(E2bError::Conflict(why));
            }
            record.status = Status::Building;
            record.updated_at = jiff::Timestamp::now();
            record.clone()
        };
        save(folder, &record).await
    }

    /// Notes how a build ended. Its log is written first: who sees the end sees the whole log.
    pub(super) async fn end(&self, folder: &Path, build: &Shared, failed: Option<Reason>) {
        let mut record = build.record();
        record.end(failed);
        let entries = build.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let log = serde_json::to_vec(&entries.unwrap_or_default()).unwrap_or_default();
        let written = write(&path(folder, record.id, "log"), log).await;
        let saved = save(folder, &record).await;
        *build.record.lock().unwrap_or_else(PoisonError::into_inner) = record;
        if let Err(error) = written.and(saved) {
            tracing::warn!(%error, "the end of a template build is not written down");
        }
    }

    /// The log of a build.
    pub(super) async fn log(&self, folder: &Path, build: &Shared) -> Vec<Entry> {
        let kept = build.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(entries) = kept {
            return entries;
        }
        let file = path(folder, build.record().id, "log");
        let bytes = tokio::fs::read(file).await.unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Reads what an earlier process wrote, once. What it was building is interrupted.
    async fn load(&self, folder: &Path) -> Result<(), E2bError> {
        let load = async || {
            for mut record in read_all(folder).await? {
                if record.status == Status::Building {
                    let message = "interrupted: the server ended while this was being built";
                    record.end(Some(Reason { message: message.to_owned(), step: None }));
                    save(folder, &record).await?;
                }
                let build = Build { record: Mutex::new(record.clone()), log: Mutex::new(None) };
                let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(record.id).or_insert_with(|| Arc::new(build));
            }
            Ok(())
        };
        self.loaded.get_or_try_init(load).await.copied()
    }
}

/// Takes out what is too much, the oldest first; and lets go of logs that are in files.
fn forget(all: &mut HashMap<Uuid, Shared>) -> Vec<Uuid> {
    let mut over: Vec<Uuid> = all
        .iter()
        .filter(|(_, build)| build.record().finished_at.is_some())
        .map(|(id, _)| *id)
        .collect();
    over.sort();
    for id in over.iter().rev().skip(20) {
        if let Some(build) = all.get(id) {
            *build.log.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
    over.truncate(all.len().saturating_sub(REMEMBERED).min(over.len()));
    for id in &over {
        all.remove(id);
    }
    over
}

fn path(folder: &Path, id: Uuid, kind: &str) -> PathBuf {
    folder.join("builds").join(format!("{id}.{kind}"))
}

async fn save(folder: &Path, record: &Record) -> Result<(), E2bError> {
    let json = serde_json::to_vec(record).map_err(|error| E2bError::Failed(error.to_string()))?;
    write(&path(folder, record.id, "json"), json).await
}

/// Writes a file as a whole or not at all.
async fn write(file: &Path, bytes: Vec<u8>) -> Result<(), E2bError> {
    let failed = |error| E2bError::Failed(format!("{} can't be written: {error}", file.display()));
    if let Some(folder) = file.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    let part = file.with_extension("part");
    tokio::fs::write(&part, bytes).await.map_err(failed)?;
    tokio::fs::rename(&part, file).await.map_err(failed)
}

async fn read_all(folder: &Path) -> Result<Vec<Record>, E2bError> {
    let folder = folder.join("builds");
    let mut records = Vec::new();
    let mut entries = match tokio::fs::read_dir(&folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(records),
        Err(error) => return Err(E2bError::Failed(format!("{}: {error}", folder.display()))),
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.path().extension().is_some_and(|kind| kind == "json") {
            let bytes = tokio::fs::read(entry.path()).await.unwrap_or_default();
            match serde_json::from_slice(&bytes) {
                Ok(record) => records.push(record),
                Err(error) => tracing::warn!(%error, path = %entry.path().display(), "no build"),
            }
        }
    }
    Ok(records)
}
