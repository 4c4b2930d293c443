//! The job journal: a change of several steps writes down what it intends first, so that a restart
//! can finish it or take it back.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use uuid::Uuid;

use crate::{Store, StoreError};

/// Begins jobs and finds those that never ended.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Store,
}

/// A job under way. It ends by [`Job::done`] or [`Job::failed`]; one that is dropped without
/// either stays unfinished, which is what the reconciler looks for.
#[derive(Debug)]
pub struct Job {
    store: Store,
    id: String,
}

/// A job as it is written down.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Unique for ever.
    pub id: Uuid,
    /// What is being done, such as `env.create`.
    pub kind: String,
    /// To what: an environment's id.
    pub subject: String,
    /// What the steps need to know, as JSON.
    pub payload: String,
    /// The last step that was begun.
    pub step: String,
    /// When it began.
    pub started_at: Timestamp,
}

impl JobRow {
    /// The payload as the type that it was written from.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        Ok(serde_json::from_str(&self.payload)?)
    }
}

impl Journal {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Writes down that a change begins.
    ///
    /// # Errors
    /// When it can't be written: then the change must not begin.
    pub async fn begin(
        &self,
        kind: &str,
        subject: &str,
        payload: &(impl Serialize + Sync),
    ) -> Result<Job, StoreError> {
        let id = Uuid::now_v7().to_string();
        sqlx::query(
            "INSERT INTO jobs (id, kind, subject, payload, state, step, started_at) \
             VALUES ($1, $2, $3, $4, 'running', 'begin', $5)",
        )
        .bind(&id)
        .bind(kind)
        .bind(subject)
        .bind(serde_json::to_string(payload)?)
        .bind(Timestamp::now().to_string())
        .execute(self.store.pool())
        .await?;
        Ok(Job { store: self.store.clone(), id })
    }

    /// Jobs that began and did not end, the oldest first.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn unfinished(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, kind, subject, payload, step, started_at FROM jobs \
             WHERE state = 'running' ORDER BY id",
        )
        .fetch_all(self.store.pool())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Takes up a job that an earlier process left.
    #[must_use]
    pub fn resume(&self, row: &JobRow) -> Job {
        Job { store: self.store.clone(), id: row.id.to_string() }
    }

    /// Forgets jobs that ended before `before`.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn prune(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM jobs WHERE state <> 'running' AND ended_at < $1")
            .bind(before.to_string())
            .execute(self.store.pool())
            .await?;
        Ok(())
    }
}

impl Job {
    /// Writes down that a step begins.
    ///
    /// # Errors
    /// When it can't be written: then the step must not begin.
    pub async fn step(&self, step: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET step = $2 WHERE id = $1")
            .bind(&self.id)
            .bind(step)
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    /// Every step is done.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn done(self) -> Result<(), StoreError> {
        self.end("done", None).await
    }

    /// The change failed and what it had done is taken back.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn failed(self, why: &str) -> Result<(), StoreError> {
        self.end("failed", Some(why)).await
    }

    async fn end(self, state: &str, error: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET state = $2, error = $3, ended_at = $4 WHERE id = $1")
            .bind(&self.id)
            .bind(state)
            .bind(error)
            .bind(Timestamp::now().to_string())
            .execute(self.store.pool())
            .await?;
        Ok(())
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<JobRow, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let bad =
        |e: Box<dyn std::error::Error + Send + Sync>| StoreError::Query(sqlx::Error::Decode(e));
    Ok(JobRow {
        id: text("id")?.parse::<Uuid>().map_err(|e| bad(e.into()))?,
        kind: text("kind")?,
        subject: text("subject")?,
        payload: text("payload")?,
        step: text("step")?,
        started_at: text("started_at")?.parse::<Timestamp>().map_err(|e| bad(e.into()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_never_ended_is_found_again_with_its_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let store = Store::open(&path).await.unwrap();
        let ended = store.journal().begin("env.create", "a", &["x"]).await.unwrap();
        ended.done().await.unwrap();
        let job = store.journal().begin("env.remove", "b", &["payload"]).await.unwrap();
        job.step("layers").await.unwrap();
        drop(job);
        store.close().await;

        let store = Store::open(&path).await.unwrap();
        let left = store.journal().unfinished().await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].kind.as_str(), left[0].step.as_str()), ("env.remove", "layers"));
        assert_eq!(left[0].payload::<Vec<String>>().unwrap(), ["payload"]);
        store.journal().resume(&left[0]).failed("taken back").await.unwrap();
        assert!(store.journal().unfinished().await.unwrap().is_empty());
    }
}
