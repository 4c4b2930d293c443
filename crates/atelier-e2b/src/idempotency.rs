//! `Idempotency-Key`: a repeated create gives the sandbox that the first one made.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::E2bError;
use crate::sandboxes::view::SandboxView;

/// How many keys are remembered at most; the oldest go first.
const MOST: usize = 10_000;

type Key = [u8; 32];

/// The keys that were used not long ago.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<Key, Arc<Slot>>>);

struct Slot {
    request: Key,
    since: Instant,
    /// Locked while the sandbox is being made, so that a repetition waits for it.
    made: Arc<tokio::sync::Mutex<Option<SandboxView>>>,
}

/// The key of a request, joined with the caller's credentials: nobody gets what another made.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<Key>, E2bError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    if key.is_empty() || key.len() > 255 {
        let why = "Idempotency-Key has 1 to 255 characters".to_owned();
        return Err(E2bError::Invalid(why));
    }
    let mut hash = Sha256::new();
    for name in ["x-api-key", "authorization"] {
        hash.update(headers.get(name).map_or(&b""[..], |value| value.as_bytes()));
        hash.update([0]);
    }
    hash.update(key.as_bytes());
    Ok(Some(hash.finalize().into()))
}

impl Keys {
    /// Gives what was made for this key, or makes it. Making goes on when the caller hangs up.
    pub(crate) async fn once(
        &self,
        key: Key,
        request: &str,
        remembered: Duration,
        make: impl Future<Output = Result<SandboxView, E2bError>> + Send + 'static,
    ) -> Result<SandboxView, E2bError> {
        let request: Key = Sha256::digest(request.as_bytes()).into();
        let slot = self.slot(key, request, remembered);
        if slot.request != request {
            return Err(E2bError::KeyReused);
        }
        let mut made = slot.made.clone().lock_owned().await;
        if let Some(sandbox) = &*made {
            return Ok(sandbox.clone());
        }
        let task = tokio::spawn(async move {
            let sandbox = make.await?;
            *made = Some(sandbox.clone());
            Ok(sandbox)
        });
        task.await
            .map_err(|error| E2bError::Failed(format!("the sandbox's making ended: {error}")))?
    }

    fn slot(&self, key: Key, request: Key, remembered: Duration) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.since.elapsed() < remembered || slot.made.try_lock().is_err());
        if slots.len() >= MOST {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.since).map(|(key, _)| *key);
            oldest.and_then(|oldest| slots.remove(&oldest));
        }
        let new = || Slot { request, since: Instant::now(), made: Arc::default() };
        slots.entry(key).or_insert_with(|| Arc::new(new())).clone()
    }
}
