//! What engines do without being asked: containers that end, start again or are killed by hand. Names
//! follow, and after a start of the control plane everything that was up is taken up again.

use std::sync::Arc;
use std::time::Duration;

use atelier_api::Problem;
use atelier_engine::{Engine, Happening};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::{Phase, ServicesRecord};
use super::{ENVIRONMENT, HOME, SHARED, store};
use crate::record::Record;
use crate::workshop::Workshop;

/// The pause before an engine that went away is looked for again.
const PAUSE: Duration = Duration::from_secs(2);

impl Workshop {
    /// Follows the engine until `stop`. Nothing is asked of it before something is up.
    pub async fn watch_services(self: Arc<Self>, stop: CancellationToken) {
        let watching = async {
            loop {
                if self.anything_up().await
                    && let Err(problem) = self.follow().await
                {
                    tracing::debug!(%problem, "the container engine is looked for again");
                    self.driver.lose_engine().await;
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = self.driver.used() => {}
                }
            }
        };
        tokio::select! {
            () = watching => {}
            () = stop.cancelled() => {}
        }
    }

    async fn anything_up(&self) -> bool {
        store::list(&self.store)
            .await
            .is_ok_and(|rows| rows.iter().any(|row| row.phase != Phase::Down))
    }

    async fn follow(self: &Arc<Self>) -> Result<(), Problem> {
        let engine = self.driver.engine().await?;
        let label = format!("{HOME}={}", self.home_label());
        // From before the names are made anew, so that nothing is missed between.
        let mut events = std::pin::pin!(engine.events(&label));
        self.take_up(|_| true).await?;
        while let Some(event) = events.next().await {
            self.happened(&engine, event?).await;
        }
        Ok(())
    }

    /// Makes the names of everything that is up anew, or of some.
    async fn take_up(
        self: &Arc<Self>,
        which: impl Fn(&ServicesRecord) -> bool,
    ) -> Result<(), Problem> {
        for row in store::list(&self.store).await? {
            if row.phase != Phase::Up || !row.record.as_ref().is_some_and(&which) {
                continue;
            }
            // Whoever changes it at this moment publishes its names at the end.
            let Ok(_turn) = self.driver.turn(row.environment).try_lock_owned() else { continue };
            if let Some(record) = self.record_of(row.environment).await?
                && let Err(problem) = self.republish(&record).await
            {
                tracing::warn!(env = record.label(), %problem, "names of services");
            }
        }
        Ok(())
    }

    async fn happened(self: &Arc<Self>, engine: &Engine, event: Happening) {
        let moves = ["start", "die", "destroy", "unpause", "pause"];
        let told =
            event.action.starts_with("health_status") || moves.contains(&event.action.as_str());
        // Ports that a container had may be somebody else's from now on; addresses stay its own.
        let loopback = self.driver.loopback(engine);
        let moved = event.action == "start" || (loopback && event.action == "die");
        if let (true, Some(shared)) = (moved && loopback, event.attributes.get(SHARED)) {
            self.shared_moved(shared).await;
        }
        let id = event.attributes.get(ENVIRONMENT).and_then(|id| id.parse::<Uuid>().ok());
        let (Some(id), true) = (id, told) else { return };
        let Ok(Some(record)) = self.record_of(id).await else { return };
        let service =
            event.attributes.get("com.docker.compose.service").cloned().unwrap_or_default();
        let what = serde_json::json!({ "service": service, "what": event.action });
        self.events.publish("service.changed", record.label(), what);
        // Whoever changes it at this moment publishes the names at the end, or takes them away.
        let Ok(_turn) = self.driver.turn(id).try_lock_owned() else { return };
        if moved && let Err(problem) = self.republish(&record).await {
            tracing::warn!(env = record.label(), %problem, "names of services");
        }
    }

    /// The users of a shared service have it at other ports now.
    async fn shared_moved(self: &Arc<Self>, shared: &str) {
        let Ok(rows) = store::list(&self.store).await else { return };
        let row = rows.into_iter().find(|row| row.environment.to_string() == shared);
        let Some(scope) = row.and_then(|row| row.record).map(|record| record.scope) else { return };
        let uses = |record: &ServicesRecord| record.shared.values().any(|u| u.scope == scope);
        if let Err(problem) = self.take_up(uses).await {
            tracing::warn!(%problem, "names of a shared service");
        }
    }

    pub(crate) async fn record_of(&self, id: Uuid) -> Result<Option<Record>, Problem> {
        let row = crate::store::environment_get(&self.store, id).await?;
        Ok(row.and_then(|row| row.record))
    }
}
