//! Keeps an idle control plane small. Making a hundred environments at once takes memory on many
//! threads, and glibc's allocator gives little of it back by itself.

use std::time::Duration;

use atelier_run::Hub;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Quiet for so long, and what was freed is given back.
const QUIET: Duration = Duration::from_secs(1);

/// One heap for all threads: a heap for each keeps what that thread freed. Call it before there is
/// a second thread.
pub fn one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two integers and changes a setting of the allocator.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives memory back whenever changes have come to rest. Sleeps while nothing happens.
pub(crate) async fn give_back(events: &Hub, stop: CancellationToken) {
    let (_, mut events) = events.subscribe(None);
    let mut changed = false;
    loop {
        let event = async {
            if changed {
                tokio::time::timeout(QUIET, events.recv()).await.ok()
            } else {
                Some(events.recv().await)
            }
        };
        let event = tokio::select! { event = event => event, () = stop.cancelled() => return };
        match event {
            Some(Ok(_) | Err(RecvError::Lagged(_))) => changed = true,
            Some(Err(RecvError::Closed)) => return,
            None => {
                trim();
                changed = false;
            }
        }
    }
}

fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a size and touches only memory that nobody holds.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
