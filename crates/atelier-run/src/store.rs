//! The tables of environments and of the commands that ran in them. All SQL of this crate is here.

use atelier_api::{Name, Problem};
use atelier_store::{Store, StoreError};
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::record::Record;

/// An environment's row. The record is there from `ready` on.
#[derive(Debug, Clone)]
pub(crate) struct EnvRow {
    pub(crate) id: Uuid,
    pub(crate) name: Name,
    pub(crate) state: String,
    pub(crate) record: Option<Record>,
}

/// What a row must be unique in.
#[derive(Debug, Clone)]
pub(crate) struct Identity<'a> {
    pub(crate) id: Uuid,
    pub(crate) project_id: &'a str,
    pub(crate) project_name: &'a str,
    pub(crate) name: &'a Name,
    pub(crate) root: String,
}

/// Claims a name in a project. `false` when it is taken.
pub(crate) async fn environment_claim(store: &Store, env: &Identity<'_>) -> Result<bool, Problem> {
    let done = sqlx::query(
        "INSERT INTO environments (id, project_id, project_name, root, name, state, created_at, record) \
         VALUES ($1, $2, $3, $4, $5, 'creating', $6, '') ON CONFLICT (project_id, name) DO NOTHING",
    )
    .bind(env.id.to_string())
    .bind(env.project_id)
    .bind(env.project_name)
    .bind(&env.root)
    .bind(env.name.as_str())
    .bind(Timestamp::now().to_string())
    .execute(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(done.rows_affected() == 1)
}

/// The environment is whole.
pub(crate) async fn environment_ready(store: &Store, record: &Record) -> Result<(), Problem> {
    sqlx::query("UPDATE environments SET state = 'ready', record = $2 WHERE id = $1")
        .bind(record.id.to_string())
        .bind(serde_json::to_string(record).map_err(StoreError::from)?)
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Its record is another one. Nothing happens to one that is being removed.
pub(crate) async fn environment_changed(store: &Store, record: &Record) -> Result<(), Problem> {
    sqlx::query("UPDATE environments SET record = $2 WHERE id = $1 AND state = 'ready'")
        .bind(record.id.to_string())
        .bind(serde_json::to_string(record).map_err(StoreError::from)?)
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// It is being removed: nobody may use it any more. `false` when somebody else removes it.
pub(crate) async fn environment_removing(store: &Store, id: Uuid) -> Result<bool, Problem> {
    let done = sqlx::query(
        "UPDATE environments SET state = 'removing' WHERE id = $1 AND state <> 'removing'",
    )
    .bind(id.to_string())
    .execute(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(done.rows_affected() == 1)
}

/// It is gone, with the list of what ran in it.
pub(crate) async fn environment_gone(store: &Store, id: Uuid) -> Result<(), Problem> {
    for sql in
        ["DELETE FROM runs WHERE environment_id = $1", "DELETE FROM environments WHERE id = $1"]
    {
        sqlx::query(sql)
            .bind(id.to_string())
            .execute(store.pool())
            .await
            .map_err(StoreError::from)?;
    }
    Ok(())
}

/// One by its name.
pub(crate) async fn environment_find(
    store: &Store,
    project_id: &str,
    name: &Name,
) -> Result<Option<EnvRow>, Problem> {
    let row = sqlx::query(
        "SELECT id, name, state, record FROM environments WHERE project_id = $1 AND name = $2",
    )
    .bind(project_id)
    .bind(name.as_str())
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// One by its id.
pub(crate) async fn environment_get(store: &Store, id: Uuid) -> Result<Option<EnvRow>, Problem> {
    let row = sqlx::query("SELECT id, name, state, record FROM environments WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// One by its own name and its project's name, as host names carry them.
pub(crate) async fn environment_by_host(
    store: &Store,
    project_name: &str,
    name: &str,
) -> Result<Option<EnvRow>, Problem> {
    let row = sqlx::query(
        "SELECT id, name, state, record FROM environments \
         WHERE project_name = $1 AND name = $2 AND state = 'ready' ORDER BY id",
    )
    .bind(project_name)
    .bind(name)
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Those of one project, or all, the newest first.
pub(crate) async fn environment_list(
    store: &Store,
    project_id: Option<&str>,
) -> Result<Vec<EnvRow>, Problem> {
    let rows = sqlx::query(
        "SELECT id, name, state, record FROM environments \
         WHERE project_id = $1 OR $1 = '' ORDER BY id DESC",
    )
    .bind(project_id.unwrap_or_default())
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// A command that ran.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) id: Uuid,
    pub(crate) pid: u32,
    pub(crate) command: Vec<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) exit_code: Option<i32>,
    /// Whether it has a terminal.
    pub(crate) terminal: bool,
    /// Whether its environment goes when it ends.
    pub(crate) removes: bool,
}

/// Writes down that a command began.
pub(crate) async fn run_started(store: &Store, env: Uuid, run: &RunRow) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO runs (id, environment_id, pid, command, started_at, terminal, removes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(run.id.to_string())
    .bind(env.to_string())
    .bind(i64::from(run.pid))
    .bind(serde_json::to_string(&run.command).map_err(StoreError::from)?)
    .bind(run.started_at.to_string())
    .bind(i64::from(run.terminal))
    .bind(i64::from(run.removes))
    .execute(store.pool())
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// Writes down how it ended.
pub(crate) async fn run_ended(store: &Store, id: Uuid, exit_code: i32) -> Result<(), Problem> {
    sqlx::query("UPDATE runs SET exit_code = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(exit_code))
        .execute(store.pool())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// The last commands of an environment, the oldest first.
pub(crate) async fn run_list(store: &Store, env: Uuid, last: u32) -> Result<Vec<RunRow>, Problem> {
    let rows = sqlx::query(
        "SELECT id, pid, command, started_at, exit_code, terminal, removes FROM runs \
         WHERE environment_id = $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(env.to_string())
    .bind(i64::from(last))
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::from)?;
    let mut runs = rows.iter().map(read_run).collect::<Result<Vec<_>, StoreError>>()?;
    runs.reverse();
    Ok(runs)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::from(sqlx::Error::Decode(error.into()))
}

fn read(row: &AnyRow) -> Result<EnvRow, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(StoreError::from);
    let record = text("record")?;
    Ok(EnvRow {
        id: text("id")?.parse().map_err(decode)?,
        name: text("name")?.parse().map_err(decode)?,
        state: text("state")?,
        record: if record.is_empty() { None } else { Some(serde_json::from_str(&record)?) },
    })
}

fn read_run(row: &AnyRow) -> Result<RunRow, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(StoreError::from);
    let pid: i64 = row.try_get("pid")?;
    let exit: Option<i64> = row.try_get("exit_code")?;
    Ok(RunRow {
        id: text("id")?.parse().map_err(decode)?,
        pid: u32::try_from(pid).map_err(decode)?,
        command: serde_json::from_str(&text("command")?)?,
        started_at: text("started_at")?.parse().map_err(decode)?,
        exit_code: exit.map(i32::try_from).transpose().map_err(decode)?,
        terminal: row.try_get::<i64, _>("terminal")? != 0,
        removes: row.try_get::<i64, _>("removes")? != 0,
    })
}
