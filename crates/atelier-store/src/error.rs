//! What can go wrong with the database, in words.

use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is no database, or is damaged.
    #[error("the database {} is damaged: {reason}", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// A newer Atelier wrote it.
    #[error("the database {} was written by a newer Atelier", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
    },
    /// It can't be opened or written.
    #[error("the database {} can't be opened: {reason}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// A statement failed.
    #[error("the database refused a statement")]
    Query(#[from] sqlx::Error),
    /// A stored value can't be read.
    #[error("the database holds a value that can't be read")]
    Value(#[from] serde_json::Error),
}

impl Fault for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "store.corrupt",
            Self::Newer { .. } => "store.newer",
            Self::Open { .. } => "store.open",
            Self::Query(_) | Self::Value(_) => "store.query",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Newer { .. } | Self::Open { .. } => ExitCode::Configuration,
            Self::Corrupt { .. } | Self::Query(_) | Self::Value(_) => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Corrupt { .. } => vec![
                "run 'atelier doctor --fix': it moves the damaged file aside and reads the \
                 environments back from their folders"
                    .into(),
            ],
            Self::Newer { .. } => vec!["run the newer binary, or use another ATELIER_HOME".into()],
            Self::Open { .. } => {
                vec!["check that ATELIER_HOME is writable and that its disk is not full".into()]
            }
            Self::Query(_) | Self::Value(_) => vec!["run 'atelier doctor'".into()],
        }
    }
}

impl StoreError {
    /// Reads SQLite's words into a kind that says what to do.
    pub(crate) fn opening(path: &std::path::Path, error: &sqlx::Error) -> Self {
        let path = path.to_owned();
        let reason = error.to_string();
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
            // SQLITE_CORRUPT and SQLITE_NOTADB, https://sqlite.org/rescode.html
            Some("11" | "26") => Self::Corrupt { path, reason },
            _ => Self::Open { path, reason },
        }
    }
}
