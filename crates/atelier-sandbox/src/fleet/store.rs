//! The tables of the fleet. All SQL about them is here.

use atelier_api::image::Template;
use atelier_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use uuid::Uuid;

use super::record::{Origin, Record};
use super::secrets::SecretRow;
use super::volumes::VolumeRow;
use crate::{Root, SandboxError};

/// A snapshot as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SnapshotRow {
    /// What users see of it.
    pub(crate) view: atelier_api::sandbox::Snapshot,
    /// The files that it starts from.
    pub(crate) root: Root,
    /// The folder of the runtime's own state, when there is one.
    pub(crate) state: Option<std::path::PathBuf>,
    /// What the sandbox was made with.
    pub(crate) options: atelier_api::sandbox::SandboxOptions,
    pub(crate) origin: Origin,
    pub(crate) start: Option<String>,
    pub(crate) ready: Option<String>,
}

fn json<T: Serialize>(value: &T) -> Result<String, SandboxError> {
    Ok(serde_json::to_string(value).map_err(StoreError::Value)?)
}

/// Records of another version that can't be read are left out, and said so.
fn read<T: DeserializeOwned>(rows: &[sqlx::any::AnyRow]) -> Result<Vec<T>, SandboxError> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let text: String = row.try_get("record")?;
        match serde_json::from_str(&text) {
            Ok(record) => all.push(record),
            Err(error) => tracing::error!(%error, "a record can't be read"),
        }
    }
    Ok(all)
}

/// Every sandbox.
pub(super) async fn fleet(store: &Store) -> Result<Vec<Record>, SandboxError> {
    read(&sqlx::query("SELECT record FROM fleet").fetch_all(store.pool()).await?)
}

/// Takes id and name; `false` when another sandbox has the name.
pub(super) async fn claim(store: &Store, record: &Record) -> Result<bool, SandboxError> {
    let done = sqlx::query(
        "INSERT INTO fleet (id, name, record) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
    )
    .bind(record.id.to_string())
    .bind(record.name.as_ref().map(ToString::to_string))
    .bind(json(record)?)
    .execute(store.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a sandbox down.
pub(super) async fn save(store: &Store, record: &Record) -> Result<(), SandboxError> {
    sqlx::query("UPDATE fleet SET name = $2, record = $3 WHERE id = $1")
        .bind(record.id.to_string())
        .bind(record.name.as_ref().map(ToString::to_string))
        .bind(json(record)?)
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Forgets a sandbox.
pub(super) async fn forget(store: &Store, id: Uuid) -> Result<(), SandboxError> {
    sqlx::query("DELETE FROM fleet WHERE id = $1")
        .bind(id.to_string())
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Every snapshot, the newest first.
pub(super) async fn snapshots(store: &Store) -> Result<Vec<SnapshotRow>, SandboxError> {
    let rows = sqlx::query("SELECT record FROM snapshots").fetch_all(store.pool()).await?;
    let mut all: Vec<SnapshotRow> = read(&rows)?;
    all.sort_by_key(|row| std::cmp::Reverse(row.view.created_at));
    Ok(all)
}

/// Writes a snapshot down.
pub(super) async fn save_snapshot(store: &Store, row: &SnapshotRow) -> Result<(), SandboxError> {
    sqlx::query(
        "INSERT INTO snapshots (id, record) VALUES ($1, $2) \
         ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )
    .bind(&row.view.id)
    .bind(json(row)?)
    .execute(store.pool())
    .await?;
    Ok(())
}

/// Forgets a snapshot.
pub(super) async fn forget_snapshot(store: &Store, id: &str) -> Result<(), SandboxError> {
    sqlx::query("DELETE FROM snapshots WHERE id = $1").bind(id).execute(store.pool()).await?;
    Ok(())
}

/// Every template, by name.
pub(super) async fn templates(store: &Store) -> Result<Vec<Template>, SandboxError> {
    read(&sqlx::query("SELECT record FROM templates ORDER BY name").fetch_all(store.pool()).await?)
}

/// Writes a template down.
pub(super) async fn save_template(store: &Store, template: &Template) -> Result<(), SandboxError> {
    sqlx::query(
        "INSERT INTO templates (name, record) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET record = excluded.record",
    )
    .bind(&template.name)
    .bind(json(template)?)
    .execute(store.pool())
    .await?;
    Ok(())
}

/// Forgets a template; `false` when there is none of that name.
pub(super) async fn forget_template(store: &Store, name: &str) -> Result<bool, SandboxError> {
    let done = sqlx::query("DELETE FROM templates WHERE name = $1")
        .bind(name)
        .execute(store.pool())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Every volume, by name.
pub(super) async fn volumes(store: &Store) -> Result<Vec<VolumeRow>, SandboxError> {
    read(&sqlx::query("SELECT record FROM volumes ORDER BY name").fetch_all(store.pool()).await?)
}

/// Takes id and name; `false` when another volume has the name.
pub(super) async fn claim_volume(store: &Store, row: &VolumeRow) -> Result<bool, SandboxError> {
    let done = sqlx::query(
        "INSERT INTO volumes (id, name, record) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
    )
    .bind(row.id.to_string())
    .bind(&row.name)
    .bind(json(row)?)
    .execute(store.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a volume.
pub(super) async fn forget_volume(store: &Store, id: Uuid) -> Result<(), SandboxError> {
    sqlx::query("DELETE FROM volumes WHERE id = $1")
        .bind(id.to_string())
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Every secret, by name.
pub(super) async fn secrets(store: &Store) -> Result<Vec<SecretRow>, SandboxError> {
    read(&sqlx::query("SELECT record FROM secrets ORDER BY name").fetch_all(store.pool()).await?)
}

/// Takes id and name; `false` when another secret has the name.
pub(super) async fn claim_secret(store: &Store, row: &SecretRow) -> Result<bool, SandboxError> {
    let done = sqlx::query(
        "INSERT INTO secrets (id, name, record) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
    )
    .bind(row.id.to_string())
    .bind(&row.name)
    .bind(json(row)?)
    .execute(store.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a secret anew; `false` when it is not any more what it was before.
pub(super) async fn change_secret(
    store: &Store,
    before: &SecretRow,
    row: &SecretRow,
) -> Result<bool, SandboxError> {
    let done = sqlx::query("UPDATE secrets SET record = $3 WHERE id = $1 AND record = $2")
        .bind(row.id.to_string())
        .bind(json(before)?)
        .bind(json(row)?)
        .execute(store.pool())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a secret.
pub(super) async fn forget_secret(store: &Store, id: Uuid) -> Result<(), SandboxError> {
    sqlx::query("DELETE FROM secrets WHERE id = $1")
        .bind(id.to_string())
        .execute(store.pool())
        .await?;
    Ok(())
}
