//! Containers that stand still while their data is copied. They go on whatever happens: by the end of the
//! copy, by the end of whoever copies, or, after a kill, by the note that was made before they were frozen.

use std::fs;
use std::path::{Path, PathBuf};

use atelier_api::Problem;
use atelier_engine::{Container, Engine, EngineError, State};

use super::super::files::write_private;

/// The note, in the environment's folder: the engine's ids.
const FILE: &str = "frozen.json";

/// Frozen containers.
#[derive(Debug)]
pub(super) struct Held {
    engine: Engine,
    note: PathBuf,
    ids: Vec<String>,
}

impl Held {
    /// Freezes those that run. What somebody else has frozen stays so.
    pub(super) async fn freeze(
        engine: &Engine,
        folder: &Path,
        containers: &[Container],
    ) -> Result<Self, Problem> {
        let running = containers.iter().filter(|c| c.state == State::Running);
        let mut ids: Vec<String> = running.map(|c| c.id.clone()).collect();
        ids.sort();
        ids.dedup();
        let held = Self { engine: engine.clone(), note: folder.join(FILE), ids };
        if !held.ids.is_empty() {
            write_private(&held.note, &serde_json::json!(held.ids))?;
        }
        for id in &held.ids {
            held.engine.freeze(id, true).await?;
        }
        Ok(held)
    }

    /// Lets them go on.
    pub(super) async fn thaw(mut self) -> Result<(), Problem> {
        let ids = std::mem::take(&mut self.ids);
        Ok(release(&self.engine, &self.note, ids).await?)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let ids = std::mem::take(&mut self.ids);
        if let (false, Ok(handle)) = (ids.is_empty(), tokio::runtime::Handle::try_current()) {
            let (engine, note) = (self.engine.clone(), self.note.clone());
            handle.spawn(async move {
                if let Err(error) = release(&engine, &note, ids).await {
                    tracing::warn!(%error, "containers stay frozen until the next repair");
                }
            });
        }
    }
}

/// Thaws what a kill left frozen in one environment; gives how many.
pub(super) async fn mend(engine: &Engine, folder: &Path) -> Result<usize, EngineError> {
    let note = folder.join(FILE);
    let Ok(bytes) = fs::read(&note) else { return Ok(0) };
    let ids: Vec<String> = serde_json::from_slice(&bytes).unwrap_or_default();
    let count = ids.len();
    release(engine, &note, ids).await?;
    Ok(count)
}

/// Thaws each, also when one can't be; the note stays as long as one is frozen.
async fn release(engine: &Engine, note: &Path, ids: Vec<String>) -> Result<(), EngineError> {
    let mut outcome = Ok(());
    for id in ids {
        if let Err(error) = engine.freeze(&id, false).await {
            outcome = Err(error);
        }
    }
    outcome?;
    if let Err(error) = fs::remove_file(note)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, note = %note.display(), "a note of frozen containers stays");
    }
    Ok(())
}
