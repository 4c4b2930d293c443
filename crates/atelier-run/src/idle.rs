//! Sandboxes in which nothing runs are stopped after a while; their files stay, and the next command
//! starts them again in milliseconds.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::workshop::Workshop;

impl Workshop {
    /// Looks from time to time until `stop`.
    pub async fn stop_idle(self: Arc<Self>, stop: CancellationToken) {
        let Some(limit) = self.defaults.idle_stop else { return };
        let pause = (limit / 4).clamp(Duration::from_secs(1), Duration::from_secs(60));
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            let standalone = self.sandboxes.standalone();
            for (id, live) in self.sandboxes.all_live() {
                if live.idle() < limit || standalone.contains(&id) {
                    continue;
                }
                // A server that a command left behind counts as much as a command.
                if live.has_processes() {
                    live.touch();
                    continue;
                }
                tracing::info!(%id, "stopped: nobody used it");
                if let Err(error) = self.sandboxes.stop(id).await {
                    tracing::warn!(%error, %id, "an idle sandbox can't be stopped");
                }
            }
        }
    }
}
