//! The table of sandboxes. All SQL of this crate is here.

use atelier_store::{Store, StoreError};
use jiff::Timestamp;
use sqlx::Row;
use uuid::Uuid;

use crate::{Running, SandboxError, SandboxSpec};

/// One row: a sandbox that was to be started, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct SandboxRow {
    pub(crate) id: Uuid,
    pub(crate) runtime: String,
    /// `None` until the start has succeeded.
    pub(crate) running: Option<Running>,
}

/// Writes down that a sandbox is about to start.
pub(crate) async fn sandbox_starting(
    store: &Store,
    spec: &SandboxSpec,
) -> Result<(), SandboxError> {
    sqlx::query(
        "INSERT INTO sandboxes (id, runtime, state, started_at, running) \
         VALUES ($1, $2, 'starting', $3, '') \
         ON CONFLICT (id) DO UPDATE SET state = 'starting', started_at = excluded.started_at",
    )
    .bind(spec.id.to_string())
    .bind(&spec.runtime)
    .bind(Timestamp::now().to_string())
    .execute(store.pool())
    .await?;
    Ok(())
}

/// Writes down that it runs.
pub(crate) async fn sandbox_running(
    store: &Store,
    id: Uuid,
    running: &Running,
) -> Result<(), SandboxError> {
    sqlx::query("UPDATE sandboxes SET state = 'running', running = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(serde_json::to_string(running).map_err(StoreError::Value)?)
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Forgets it.
pub(crate) async fn sandbox_gone(store: &Store, id: Uuid) -> Result<(), SandboxError> {
    sqlx::query("DELETE FROM sandboxes WHERE id = $1")
        .bind(id.to_string())
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Every row.
pub(crate) async fn sandbox_list(store: &Store) -> Result<Vec<SandboxRow>, SandboxError> {
    let rows = sqlx::query("SELECT id, runtime, running FROM sandboxes ORDER BY id")
        .fetch_all(store.pool())
        .await?;
    rows.iter()
        .map(|row| {
            let id: String = row.try_get("id")?;
            let running: String = row.try_get("running")?;
            Ok(SandboxRow {
                id: id.parse().map_err(|e: uuid::Error| sqlx::Error::Decode(e.into()))?,
                runtime: row.try_get("runtime")?,
                running: serde_json::from_str(&running).ok(),
            })
        })
        .collect()
}
