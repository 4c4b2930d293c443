//! What can go wrong with tokens.

use atelier_api::{ExitCode, Fault};
use atelier_store::StoreError;

/// Why a token could not be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The name cannot be one.
    #[error("'{name}' is no name for a token: {why}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another token has the name.
    #[error("there is a token '{0}' already")]
    Taken(String),
    /// No token has this id or name.
    #[error("there is no token '{0}'")]
    Unknown(String),
    /// It would end before it began.
    #[error("a token that ends at {0} has ended already")]
    Ended(jiff::Timestamp),
    /// The kernel gave no random bytes.
    #[error("a secret cannot be made")]
    Random(#[source] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TokenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Fault for TokenError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "token.name",
            Self::Taken(_) => "token.exists",
            Self::Unknown(_) => "token.not_found",
            Self::Ended(_) => "token.ended",
            Self::Random(_) => "token.random",
            Self::Store(error) => error.code(),
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Name { .. } | Self::Ended(_) => ExitCode::Usage,
            Self::Taken(_) => ExitCode::Conflict,
            Self::Unknown(_) => ExitCode::NotFound,
            Self::Random(_) => ExitCode::Failed,
            Self::Store(error) => error.exit(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Name { .. } => {
                vec![
                    "use up to 64 letters, digits, '-', '_' and '.', with a letter or digit first"
                        .into(),
                ]
            }
            Self::Taken(name) => {
                vec![format!("choose another name, or run 'atelier token revoke {name}' first")]
            }
            Self::Unknown(_) => vec!["run 'atelier token ls'".into()],
            Self::Ended(_) => vec!["choose a time in the future, or none".into()],
            Self::Random(_) => vec!["check that /dev/urandom can be read".into()],
            Self::Store(error) => error.hints(),
        }
    }
}
