//! The table `tokens`.

use atelier_api::token::{Scope, Token};
use atelier_store::{Store, StoreError};
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) token: Token,
    /// In hexadecimal.
    pub(super) hash: String,
}

const COLUMNS: &str = "id, name, prefix, hash, scopes, created_at, expires_at, last_used_at";

pub(super) async fn insert(store: &Store, row: &Stored) -> Result<(), sqlx::Error> {
    let Stored { token, hash } = row;
    let scopes = serde_json::to_string(&token.scopes).map_err(|e| sqlx::Error::Encode(e.into()))?;
    sqlx::query(
        "INSERT INTO tokens (id, name, prefix, hash, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&token.id)
    .bind(&token.name)
    .bind(&token.prefix)
    .bind(hash)
    .bind(scopes)
    .bind(token.created_at.to_string())
    .bind(token.expires_at.map(|at| at.to_string()))
    .execute(store.pool())
    .await
    .map(drop)
}

/// All of them, the oldest first.
pub(super) async fn all(store: &Store) -> Result<Vec<Stored>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens ORDER BY id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(store.pool()).await?;
    rows.iter().map(read).collect()
}

/// Those whose secret begins so.
pub(super) async fn with_prefix(store: &Store, prefix: &str) -> Result<Vec<Stored>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE prefix = $1");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(prefix).fetch_all(store.pool()).await?;
    rows.iter().map(read).collect()
}

/// Whether there was one of this id or name.
pub(super) async fn delete(store: &Store, which: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM tokens WHERE id = $1 OR name = $1")
        .bind(which)
        .execute(store.pool())
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn used(store: &Store, id: &str, at: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE tokens SET last_used_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at.to_string())
        .execute(store.pool())
        .await
        .map(drop)
}

fn read(row: &AnyRow) -> Result<Stored, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column);
    let time = |text: String| {
        text.parse::<Timestamp>().map_err(|e| StoreError::Query(sqlx::Error::Decode(e.into())))
    };
    let token = Token {
        id: text("id")?,
        name: text("name")?,
        prefix: text("prefix")?,
        scopes: serde_json::from_str::<Vec<Scope>>(&text("scopes")?)?,
        created_at: time(text("created_at")?)?,
        expires_at: maybe("expires_at")?.map(time).transpose()?,
        last_used_at: maybe("last_used_at")?.map(time).transpose()?,
    };
    Ok(Stored { token, hash: text("hash")? })
}
