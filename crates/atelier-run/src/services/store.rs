//! The table of services. All SQL about them is here.

use atelier_api::Problem;
use atelier_store::{Store, StoreError};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::record::{Phase, ServicesRecord};

/// A row. The record is there from the end of the first `up` on.
#[derive(Debug, Clone)]
pub(crate) struct ServicesRow {
    pub(crate) environment: Uuid,
    /// The number of its subnet.
    pub(crate) subnet: u32,
    pub(crate) phase: Phase,
    pub(crate) record: Option<ServicesRecord>,
}

/// Claims a subnet. `false` when somebody has it.
pub(crate) async fn claim(store: &Store, environment: Uuid, subnet: u32) -> Result<bool, Problem> {
    let done = sqlx::query(
        "INSERT INTO services (environment_id, subnet, state, record) VALUES ($1, $2, 'starting', '') \
         ON CONFLICT DO NOTHING",
    )
    .bind(environment.to_string())
    .bind(i64::from(subnet))
    .execute(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(done.rows_affected() == 1)
}

/// Takes another subnet for services that are down.
pub(crate) async fn reclaim(store: &Store, environment: Uuid, subnet: u32) -> Result<(), Problem> {
    sqlx::query("UPDATE services SET subnet = $2 WHERE environment_id = $1")
        .bind(environment.to_string())
        .bind(i64::from(subnet))
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Notes where they are in their life.
pub(crate) async fn set_phase(
    store: &Store,
    environment: Uuid,
    phase: Phase,
) -> Result<(), Problem> {
    sqlx::query("UPDATE services SET state = $2 WHERE environment_id = $1")
        .bind(environment.to_string())
        .bind(phase.word())
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Notes what was planned, before it is begun.
pub(crate) async fn set_record(
    store: &Store,
    environment: Uuid,
    record: &ServicesRecord,
) -> Result<(), Problem> {
    sqlx::query("UPDATE services SET record = $2 WHERE environment_id = $1")
        .bind(environment.to_string())
        .bind(serde_json::to_string(record).map_err(StoreError::from)?)
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Forgets them, with their subnet.
pub(crate) async fn gone(store: &Store, environment: Uuid) -> Result<(), Problem> {
    sqlx::query("DELETE FROM services WHERE environment_id = $1")
        .bind(environment.to_string())
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// One environment's.
pub(crate) async fn find(store: &Store, environment: Uuid) -> Result<Option<ServicesRow>, Problem> {
    let row = sqlx::query(
        "SELECT environment_id, subnet, state, record FROM services WHERE environment_id = $1",
    )
    .bind(environment.to_string())
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Everybody's, by subnet.
pub(crate) async fn list(store: &Store) -> Result<Vec<ServicesRow>, Problem> {
    let rows =
        sqlx::query("SELECT environment_id, subnet, state, record FROM services ORDER BY subnet")
            .fetch_all(store.pool())
            .await
            .map_err(StoreError::from)?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &AnyRow) -> Result<ServicesRow, StoreError> {
    let decode =
        |e: Box<dyn std::error::Error + Send + Sync>| StoreError::from(sqlx::Error::Decode(e));
    let text = |column: &str| row.try_get::<String, _>(column).map_err(StoreError::from);
    let subnet: i64 = row.try_get("subnet")?;
    let record = text("record")?;
    Ok(ServicesRow {
        environment: text("environment_id")?.parse().map_err(|e: uuid::Error| decode(e.into()))?,
        subnet: u32::try_from(subnet).map_err(|e| decode(e.into()))?,
        phase: Phase::read(&text("state")?),
        record: if record.is_empty() { None } else { Some(serde_json::from_str(&record)?) },
    })
}
