//! The audit log: who changed what, when, with what outcome. A change whose beginning can't be
//! written does not happen; an end that can't be written never masks the change's own result.

use atelier_api::system::AuditRow;
use atelier_store::{Store, StoreError};
use jiff::Timestamp;
use sqlx::Row;
use uuid::Uuid;

use crate::Caller;

/// The log.
#[derive(Debug, Clone)]
pub struct Audit {
    store: Store,
}

/// A change that has begun.
#[derive(Debug)]
pub struct Entry {
    store: Store,
    id: String,
}

impl Audit {
    /// The log in this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Writes down that `caller` begins `action` on `subject`.
    ///
    /// # Errors
    /// When it can't be written: then the change must not happen.
    pub async fn begin(
        &self,
        caller: &Caller,
        action: &str,
        subject: &str,
    ) -> Result<Entry, StoreError> {
        let id = Uuid::now_v7().to_string();
        sqlx::query(
            "INSERT INTO audit (id, began_at, actor, action, subject) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&id)
        .bind(Timestamp::now().to_string())
        .bind(caller.to_string())
        .bind(action)
        .bind(subject)
        .execute(self.store.pool())
        .await?;
        Ok(Entry { store: self.store.clone(), id })
    }

    /// The newest rows first.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn list(&self, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, began_at, ended_at, actor, action, subject, outcome FROM audit \
             ORDER BY id DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.store.pool())
        .await?;
        rows.iter().map(read).collect()
    }
}

impl Entry {
    /// Writes down how it ended: `ok`, or the code of a problem.
    pub async fn end(self, outcome: &str) {
        let written = sqlx::query("UPDATE audit SET ended_at = $2, outcome = $3 WHERE id = $1")
            .bind(&self.id)
            .bind(Timestamp::now().to_string())
            .bind(outcome)
            .execute(self.store.pool())
            .await;
        if let Err(error) = written {
            tracing::error!(%error, id = self.id, outcome, "the end of a change could not be audited");
        }
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<AuditRow, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column);
    let time = |text: String| {
        text.parse::<Timestamp>().map_err(|e| StoreError::Query(sqlx::Error::Decode(e.into())))
    };
    Ok(AuditRow {
        id: text("id")?
            .parse()
            .map_err(|e: uuid::Error| StoreError::Query(sqlx::Error::Decode(e.into())))?,
        began_at: time(text("began_at")?)?,
        ended_at: maybe("ended_at")?.map(time).transpose()?,
        actor: text("actor")?,
        action: text("action")?,
        subject: text("subject")?,
        outcome: maybe("outcome")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_leaves_a_row_with_its_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state.db")).await.unwrap();
        let audit = Audit::new(store);
        let caller = Caller::Peer { uid: 7 };
        audit.begin(&caller, "env.create", "a").await.unwrap().end("ok").await;
        audit.begin(&caller, "env.remove", "b").await.unwrap();
        let rows = audit.list(10).await.unwrap();
        assert_eq!(rows[0].action, "env.remove");
        assert_eq!(rows[0].outcome, None);
        assert_eq!((rows[1].actor.as_str(), rows[1].outcome.as_deref()), ("uid:7", Some("ok")));
    }
}
