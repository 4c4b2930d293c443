//! What is being filled with data. Until it is whole a note says so; whoever finds the note and nobody at
//! it takes it away, so that a half copy never looks like data.

use std::fs;
use std::path::{Path, PathBuf};

use atelier_api::Problem;
use atelier_engine::{Engine, EngineError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::ENVIRONMENT;
use super::super::files::write_private;
use super::SERVICE;

/// The note, in the environment's folder.
const FILE: &str = "half-filled.json";

/// What is not whole yet.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Half {
    /// Volumes, by their names in the engine.
    pub(super) volumes: Vec<String>,
    /// Services that are fed what the tool of another has written.
    pub(super) services: Vec<String>,
}

fn note(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// From now on these are not whole.
pub(super) fn begin(folder: &Path, half: &Half) -> Result<(), Problem> {
    write_private(&note(folder), &serde_json::json!(half))
}

/// Now they are.
pub(super) fn end(folder: &Path) -> Result<(), Problem> {
    let note = note(folder);
    fs::remove_file(&note).map_err(|e| super::archive::unwritable(&note, &e))
}

/// Takes away what is not whole; gives how much there was.
pub(super) async fn discard(
    engine: &Engine,
    folder: &Path,
    id: Uuid,
) -> Result<usize, EngineError> {
    let note = note(folder);
    let Ok(bytes) = fs::read(&note) else { return Ok(0) };
    let half: Half = serde_json::from_slice(&bytes).unwrap_or_default();
    for service in &half.services {
        let labels = [format!("{ENVIRONMENT}={id}"), format!("{SERVICE}={service}")];
        for container in engine.containers(&labels).await? {
            engine.remove(&container.id).await?;
        }
    }
    for volume in &half.volumes {
        for user in engine.users_of(volume).await? {
            engine.remove(&user.id).await?;
        }
        engine.remove_volume(volume).await?;
    }
    let _ = fs::remove_file(note);
    Ok(half.volumes.len() + half.services.len())
}
