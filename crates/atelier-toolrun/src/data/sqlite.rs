//! A copy of an SQLite database that others write to: its files are copied while no one can write, and
//! the copy is checked.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error::{Error, Result};
use crate::OfFile as _;
use crate::lifecycle::block;

/// As long others may keep the database for themselves.
const PATIENCE: Duration = Duration::from_secs(30);

/// The file of a database that holds what is not in the database yet.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Copies a database to `to`, one file, whole and checked.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |why: String| Error::Database { path: from.to_owned(), why };
    let as_it_was = || -> io::Result<()> {
        let about = fs::metadata(from)?;
        fs::set_permissions(to, about.permissions())?;
        // Only root may give files away, and only root has to.
        let _ = std::os::unix::fs::chown(to, Some(about.uid()), Some(about.gid()));
        Ok(())
    };
    block(async {
        copy_files(from, to).await.map_err(|error| failed(error.to_string()))?;
        let said = check(to).await.map_err(|error| failed(error.to_string()))?;
        match said.as_str() {
            "ok" => as_it_was().map_err(Error::file("written", to)),
            said => Err(failed(format!("it is not in order: {said}"))),
        }
    })?
}

async fn open(path: &Path) -> std::result::Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
    options.busy_timeout(PATIENCE).connect().await
}

async fn copy_files(from: &Path, to: &Path) -> std::result::Result<(), sqlx::Error> {
    // Opened before the lock and closed after it: when a process closes a file, the kernel takes all of
    // its locks on that file away (fcntl(2)).
    let mut file = File::open(from)?;
    let mut connection = open(from).await?;
    // Nobody writes now, and the log beside the database is not begun anew: the database with its log is
    // one state, whatever is moved from one to the other meanwhile.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
    let copied = (|| -> io::Result<()> {
        let mut out = File::create(to)?;
        io::copy(&mut file, &mut out)?;
        match File::open(beside(from, "-wal")) {
            Ok(mut log) => io::copy(&mut log, &mut File::create(beside(to, "-wal"))?).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    })();
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    connection.close().await?;
    drop(file);
    Ok(copied?)
}

/// Takes the log into the database, and lets SQLite look through it.
async fn check(path: &Path) -> std::result::Result<String, sqlx::Error> {
    let mut connection = open(path).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    let (said,): (String,) =
        sqlx::query_as("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, ending));
    }
    Ok(said)
}
