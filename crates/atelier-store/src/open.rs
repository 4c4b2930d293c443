//! Opens the database: one pool, write-ahead logging, migrations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AnyPool, Connection};

use crate::{Journal, StoreError};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Settings of each SQLite connection. `synchronous=NORMAL` with a write-ahead log loses nothing
/// when the process is killed, and stays consistent when the machine is.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
     PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON; PRAGMA cache_size = -512;";

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
}

impl Store {
    /// Opens the SQLite file at `path`, makes it when it is not there, checks that it is sound,
    /// and brings it to this version's form.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Newer`] or [`StoreError::Open`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let fail = |error: &sqlx::Error| StoreError::opening(path, error);
        check(path)
            .await
            .map_err(|e| fail(&e))?
            .map_or(Ok(()), |reason| Err(StoreError::Corrupt { path: path.to_owned(), reason }))?;
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .idle_timeout(Duration::from_secs(30))
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(PRAGMAS).execute(connection).await?;
                    Ok(())
                })
            })
            .connect(&url(path))
            .await
            .map_err(|e| fail(&e))?;
        let store = Self { pool };
        match MIGRATIONS.run(&store.pool).await {
            Ok(()) => Ok(store),
            Err(MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)) => {
                Err(StoreError::Newer { path: path.to_owned() })
            }
            Err(MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _)) => Err(fail(&e)),
            Err(other) => {
                Err(StoreError::Open { path: path.to_owned(), reason: other.to_string() })
            }
        }
    }

    /// The pool, for the `store.rs` of each part.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// The job journal.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::new(self.clone())
    }

    /// Writes the log back into the file and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Looks at every page: SQLite opens a damaged file without a word and fails later. One plain
/// connection, since a pool tries again and again and hides the reason. Gives the damage, if any.
async fn check(path: &Path) -> Result<Option<String>, sqlx::Error> {
    let mut connection = AnyConnection::connect(&url(path)).await?;
    sqlx::raw_sql(PRAGMAS).execute(&mut connection).await?;
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok((verdict != "ok").then_some(verdict))
}

/// Moves a damaged database aside, with its log, and says where it went.
///
/// # Errors
/// When a file can't be renamed.
pub fn quarantine(path: &Path) -> std::io::Result<PathBuf> {
    let stamp = jiff::Timestamp::now().as_second();
    let aside = path.with_extension(format!("corrupt-{stamp}"));
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        let mut log = path.as_os_str().to_owned();
        log.push(suffix);
        let mut target = aside.clone().into_os_string();
        target.push(suffix);
        match std::fs::rename(log, target) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(aside)
}

/// SQLite's URL of a path: bytes that mean something in a URL are escaped.
fn url(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url + "?mode=rwc"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fresh_database_opens_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("with space?#.db");
        Store::open(&path).await.unwrap().close().await;
        Store::open(&path).await.unwrap();
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_damaged_database_says_so_and_can_be_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        std::fs::write(&path, b"this is no database, only text of some length".repeat(99)).unwrap();
        let error = Store::open(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        let aside = quarantine(&path).unwrap();
        assert!(aside.exists() && !path.exists());
        Store::open(&path).await.unwrap();
    }

    #[tokio::test]
    async fn damage_in_the_middle_is_seen_at_the_door() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        Store::open(&path).await.unwrap().close().await;
        let mut bytes = std::fs::read(&path).unwrap();
        let from = 4096 * 2;
        assert!(bytes.len() > from + 4096);
        bytes[from..from + 4096].fill(0xAA);
        std::fs::write(&path, bytes).unwrap();
        let error = Store::open(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    }
}
