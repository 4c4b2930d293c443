//! The clock of the fleet: sandboxes whose time is over are removed or paused, and those that ended
//! by themselves are noted.

use std::sync::Arc;
use std::time::Duration;

use atelier_api::sandbox::{Expiry, SandboxState};
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{Entry, Fleet, view};
use crate::End;

/// The longest sleep: a machine that slept itself is noticed.
const LONGEST: Duration = Duration::from_secs(30);

impl Fleet {
    /// Keeps time until `stop`.
    pub async fn keep_time(self: Arc<Self>, stop: CancellationToken) {
        let watcher = tokio::spawn(self.clone().note_ends());
        loop {
            let (due, next) = self.due();
            for entry in due {
                let fleet = self.clone();
                tokio::spawn(async move { fleet.expire(&entry).await });
            }
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = self.clock.notified() => {}
                () = stop.cancelled() => break,
            }
        }
        watcher.abort();
    }

    /// Those whose time is over, and how long until somebody else's is.
    fn due(&self) -> (Vec<Arc<Entry>>, Duration) {
        let now = Timestamp::now();
        let (mut due, mut next) = (Vec::new(), LONGEST);
        for entry in self.all() {
            let record = entry.lock();
            let Some(at) = record.expires_at else { continue };
            if record.state != SandboxState::Running {
                continue;
            }
            match Duration::try_from(at.duration_since(now)) {
                Ok(left) if !left.is_zero() => next = next.min(left),
                _ => {
                    drop(record);
                    due.push(entry);
                }
            }
        }
        (due, next)
    }

    async fn expire(&self, entry: &Entry) {
        let change = entry.change.lock().await;
        let record = entry.record();
        let over = record.expires_at.is_some_and(|at| at <= Timestamp::now());
        if !over || record.state != SandboxState::Running {
            return;
        }
        tracing::info!(sandbox = record.label(), "its time is over");
        let done = match record.options.on_expiry {
            Expiry::Kill => {
                drop(change);
                self.remove_entry(entry).await
            }
            Expiry::Pause => self.pause_entry(entry).await,
            Expiry::Stop => self.stop_entry(entry).await,
        };
        if let Err(problem) = done {
            tracing::warn!(sandbox = record.label(), %problem, "an end of time could not be kept");
            // Later, not at once again.
            let _ = self
                .write(entry, |r| r.expires_at = Timestamp::now().checked_add(LONGEST).ok())
                .await;
        }
    }

    /// Notes sandboxes whose processes ended without our doing.
    async fn note_ends(self: Arc<Self>) {
        let mut ends = self.sandboxes.ended();
        loop {
            match ends.recv().await {
                Ok(end) => self.note_end(end).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn note_end(&self, End { id, met }: End) {
        let Some(entry) = self.entries().get(&id).cloned() else { return };
        let Ok(_change) = entry.change.try_lock() else { return };
        let record = entry.record();
        let was = matches!(record.state, SandboxState::Running | SandboxState::Paused);
        if !was || self.live(id).is_some() {
            return;
        }
        let notes = view::ended(met);
        tracing::warn!(sandbox = record.label(), ?notes, "it ended");
        let written = self.write(&entry, |record| {
            record.state = SandboxState::Stopped;
            record.notes.extend(notes);
        });
        if let Err(error) = written.await {
            tracing::error!(%error, %id, "a sandbox's end could not be written down");
        }
        self.announce(id, "ended");
    }
}
