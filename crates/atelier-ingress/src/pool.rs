//! Connections to upstreams that wait for their next request. Knows nothing of what is sent on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::wire::Wire;

/// The idle connections, by the key of their upstream.
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    limit: Duration,
    per_key: usize,
}

#[derive(Default)]
struct Idle {
    by_key: HashMap<String, Vec<Parked>>,
    sweeping: bool,
}

struct Parked {
    wire: Wire,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(limit: Duration, per_key: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), limit, per_key })
    }

    /// The connection that was used last, since it is the least likely to be closing. One whose last
    /// request is still being sent, although its answer has ended, stays where it is.
    pub(crate) fn take(&self, key: &str) -> Option<Wire> {
        let mut idle = self.lock();
        let parked = idle.by_key.get_mut(key)?;
        let mut at = parked.len();
        while at > 0 {
            at -= 1;
            if parked[at].since.elapsed() > self.limit || parked[at].wire.is_closed() {
                parked.swap_remove(at);
            } else if parked[at].wire.is_ready() {
                return Some(parked.swap_remove(at).wire);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, key: String, mut wire: Wire) {
        if wire.is_closed() || self.per_key == 0 {
            return;
        }
        let mut idle = self.lock();
        let parked = idle.by_key.entry(key).or_default();
        if parked.len() >= self.per_key {
            parked.swap_remove(0);
        }
        parked.push(Parked { wire, since: Instant::now() });
        if !std::mem::replace(&mut idle.sweeping, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.limit / 2));
        }
    }

    /// Closes what is idle for the upstreams whose keys begin with `key`.
    pub(crate) fn forget(&self, key: &str) {
        self.lock().by_key.retain(|known, _| !known.starts_with(key));
    }

    /// How many connections are idle.
    pub(crate) fn count(&self) -> usize {
        self.lock().by_key.values().map(Vec::len).sum()
    }

    /// Takes away what has been idle for too long. Whether anything is left.
    fn expire(&self) -> bool {
        let mut idle = self.lock();
        idle.by_key.retain(|_, parked| {
            parked.retain_mut(|p| !p.wire.is_closed() && p.since.elapsed() <= self.limit);
            !parked.is_empty()
        });
        idle.sweeping = !idle.by_key.is_empty();
        idle.sweeping
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>, pause: Duration) {
    loop {
        tokio::time::sleep(pause.max(Duration::from_millis(50))).await;
        if !pool.upgrade().is_some_and(|pool| pool.expire()) {
            return;
        }
    }
}

/// A connection that is in use, and where it belongs.
pub(crate) struct Lease {
    pub pool: Arc<Pool>,
    pub key: String,
    pub wire: Wire,
}

impl Lease {
    /// The answer has been read to its end.
    pub(crate) fn give_back(self) {
        self.pool.put(self.key, self.wire);
    }
}
