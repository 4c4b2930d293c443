//! Opens the database: one pool, write-ahead logging, migrations.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AnyPool, Connection};

use crate::{Journal, StoreError};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The mode of the database's files.
const PRIVATE: u32 = 0o600;

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
    /// and brings it to this version's form. Nobody but its owner may read it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Newer`] or [`StoreError::Open`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let fail = |error: &sqlx::Error| StoreError::opening(path, error);
        make_private(path).map_err(|error| StoreError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
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

/// Makes the file for its owner alone, and takes it from others if an earlier version gave it to them:
/// it holds the variables of sandboxes. SQLite makes the log beside it with the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(path)?;
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match std::fs::set_permissions(file, Permissions::from_mode(PRIVATE)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// A file of the database's that has its name and a suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
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
        match std::fs::rename(beside(path, suffix), beside(&aside, suffix)) {
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
    async fn nobody_else_may_read_it_and_an_older_one_is_closed_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let files = [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")];
        let modes =
            || files.each_ref().map(|file| file.metadata().unwrap().permissions().mode() & 0o777);
        let first = Store::open(&path).await.unwrap();
        assert_eq!(modes(), [0o600; 3]);
        for file in &files {
            std::fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        // While another has it open, since that one keeps the log.
        let second = Store::open(&path).await.unwrap();
        assert_eq!(modes(), [0o600; 3]);
        second.close().await;
        first.close().await;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
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
