//! Tokens of the API: made, listed, revoked, checked.
//!
//! A check that succeeded is remembered for a short time, so that a call costs no query. This
//! process is the only one that revokes, and a revocation empties that memory, so it holds at once.

mod error;
mod secret;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atelier_api::token::{Scope, Token};
use atelier_store::Store;
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;

pub use error::TokenError;
use store::Stored;

use crate::{Caller, Denied};

/// How long a check that succeeded is remembered.
const REMEMBERED: Duration = Duration::from_secs(10);
/// The longest name.
const LONGEST_NAME: usize = 64;

/// The tokens of a home.
#[derive(Debug, Clone)]
pub struct Tokens {
    store: Store,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Counts what was taken away: what was read before the last time must not be remembered.
    revocations: u64,
    checked: HashMap<secret::Hash, Checked>,
}

#[derive(Debug)]
struct Checked {
    at: Instant,
    name: String,
    expires_at: Option<Timestamp>,
    caller: Caller,
}

impl Tokens {
    /// The tokens in this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, memory: Arc::default() }
    }

    /// Makes a token; its secret is shown this once. No scopes mean [`Scope::Sandboxes`].
    ///
    /// # Errors
    /// When the name is taken or can't be one, or when the token would have ended already.
    pub async fn create(
        &self,
        name: &str,
        scopes: &[Scope],
        expires: Option<Timestamp>,
    ) -> Result<(Token, String), TokenError> {
        check_name(name)?;
        let now = Timestamp::now();
        if let Some(ended) = expires.filter(|at| *at <= now) {
            return Err(TokenError::Ended(ended));
        }
        let secret = secret::make().map_err(TokenError::Random)?;
        let token = Token {
            id: Uuid::now_v7().to_string(),
            name: name.to_owned(),
            prefix: secret::prefix(&secret).to_owned(),
            scopes: distinct(scopes),
            created_at: now,
            expires_at: expires,
            last_used_at: None,
        };
        let row = Stored { token, hash: secret::hex(&secret::hash(&secret)) };
        store::insert(&self.store, &row).await.map_err(|error| match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => {
                TokenError::Taken(name.to_owned())
            }
            _ => error.into(),
        })?;
        Ok((row.token, secret))
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn list(&self) -> Result<Vec<Token>, TokenError> {
        let rows = store::all(&self.store).await?;
        Ok(rows.into_iter().map(|row| row.token).collect())
    }

    /// Takes a token away, by its id or its name. From then on no check succeeds with it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn revoke(&self, which: &str) -> Result<(), TokenError> {
        let found = store::delete(&self.store, which).await;
        // Whatever became of the statement: to forget costs one query for each token.
        let mut memory = self.memory();
        memory.revocations += 1;
        memory.checked.clear();
        drop(memory);
        if found? { Ok(()) } else { Err(TokenError::Unknown(which.to_owned())) }
    }

    /// Who shows this secret.
    ///
    /// # Errors
    /// [`Denied::NoKey`] when it is of no token, [`Denied::Expired`] when its time is over.
    pub async fn check(&self, secret: &str) -> Result<Caller, Denied> {
        if !secret::is_shaped(secret) {
            return Err(Denied::NoKey);
        }
        let hash = secret::hash(secret);
        if let Some(caller) = self.remembered(&hash) {
            return caller;
        }
        let revocations = self.memory().revocations;
        let token = self.find(secret, &hash).await?;
        let caller =
            Caller::Token { id: token.id.clone(), name: token.name.clone(), scopes: token.scopes };
        in_time(&token.name, token.expires_at)?;
        let checked = Checked {
            at: Instant::now(),
            name: token.name,
            expires_at: token.expires_at,
            caller: caller.clone(),
        };
        if !self.remember(revocations, hash, checked) {
            // It may be this one that was taken away since it was read.
            return self.find(secret, &hash).await.map(|_| caller);
        }
        self.note_use(&token.id, token.last_used_at).await;
        Ok(caller)
    }

    fn remembered(&self, hash: &secret::Hash) -> Option<Result<Caller, Denied>> {
        let memory = self.memory();
        let checked = memory.checked.get(hash)?;
        if checked.at.elapsed() > REMEMBERED {
            return None;
        }
        Some(in_time(&checked.name, checked.expires_at).map(|()| checked.caller.clone()))
    }

    /// Remembers a check, unless something was revoked since.
    fn remember(&self, revocations: u64, hash: secret::Hash, checked: Checked) -> bool {
        let mut memory = self.memory();
        let fresh = memory.revocations == revocations;
        if fresh {
            memory.checked.insert(hash, checked);
        }
        fresh
    }

    async fn find(&self, secret: &str, hash: &secret::Hash) -> Result<Token, Denied> {
        let rows = store::with_prefix(&self.store, secret::prefix(secret)).await;
        let rows = rows.map_err(|error| {
            tracing::error!(%error, "a token could not be checked");
            Denied::Unchecked
        })?;
        let hash = secret::hex(hash);
        // The prefix is no secret; what decides is compared in constant time.
        let found = rows.into_iter().find(|row| secret::same(&row.hash, &hash));
        found.map(|row| row.token).ok_or(Denied::NoKey)
    }

    /// Writes down that a token was used, to the minute. That it can't be written refuses nobody.
    async fn note_use(&self, id: &str, last: Option<Timestamp>) {
        let now = Timestamp::now();
        if last.is_some_and(|last| now < last + 1.minute()) {
            return;
        }
        if let Err(error) = store::used(&self.store, id, now).await {
            tracing::warn!(%error, id, "the use of a token could not be noted");
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing that is done under the lock leaves it half done.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_time(name: &str, expires_at: Option<Timestamp>) -> Result<(), Denied> {
    match expires_at {
        Some(at) if at <= Timestamp::now() => Err(Denied::Expired { token: name.to_owned(), at }),
        _ => Ok(()),
    }
}

fn distinct(scopes: &[Scope]) -> Vec<Scope> {
    let mut distinct = Vec::new();
    for scope in scopes {
        if !distinct.contains(scope) {
            distinct.push(*scope);
        }
    }
    if distinct.is_empty() { vec![Scope::Sandboxes] } else { distinct }
}

fn check_name(name: &str) -> Result<(), TokenError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is too long"
    } else if !name.chars().all(allowed) {
        "it holds something else than letters, digits, '-', '_' and '.'"
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "it does not begin with a letter or a digit"
    } else if Uuid::try_parse(name).is_ok() {
        "it looks like an id"
    } else {
        return Ok(());
    };
    Err(TokenError::Name { name: name.to_owned(), why })
}
