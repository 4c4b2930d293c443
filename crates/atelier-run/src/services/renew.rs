//! `network.recreate`, and services that rest while something else of their environment is made anew.

use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::env::EnvRef;
use atelier_api::service::{Services, UpOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::record::Phase;
use super::store;
use crate::record::Record;
use crate::workshop::Workshop;

/// The journal's word for it.
pub(crate) const KIND: &str = "network.recreate";

/// What a restart must know to finish it.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    /// How services were asked for, when they are to run again.
    up: Option<UpOptions>,
}

impl Workshop {
    /// Takes an environment's networks away and makes them anew; its services are started again with their data.
    ///
    /// # Errors
    /// `env.not_found`; what the engine or a service has against it.
    pub async fn network_recreate(self: &Arc<Self>, input: EnvRef) -> Result<Services, Problem> {
        let project = self.project(&input.project).await?;
        let _guard = self.lock(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let _at_work = self.at_work(record.id);
        if !self.has_network(record.id).await? {
            return self.services_view(&record).await;
        }
        let intent = Intent { up: self.services_wanted(record.id).await? };
        let job = self.store.journal().begin(KIND, &record.id.to_string(), &intent).await?;
        let done = self.new_network(&record, intent).await;
        match &done {
            Ok(()) => job.done().await?,
            Err(problem) => job.failed(&problem.detail).await?,
        }
        done?;
        self.events.publish("network.recreated", record.label(), json!({ "id": record.id }));
        self.services_view(&record).await
    }

    async fn new_network(self: &Arc<Self>, record: &Record, intent: Intent) -> Result<(), Problem> {
        {
            let _turn = self.services_turn(record.id).await;
            let engine = self.driver.engine().await?;
            self.lower(&engine, record.id, false).await?;
            self.leave_foreign_subnet(&engine, record.id).await?;
            if intent.up.is_some() {
                // Whatever happens now: the next command finds that they should run.
                store::set_phase(&self.store, record.id, Phase::Up).await?;
            }
        }
        match intent.up {
            Some(options) => self.up_record(record, &[], &options).await,
            None => self.tell_sandbox(record).await,
        }
    }

    /// Finishes one that a kill interrupted. Services come up behind the back: nobody has to wait for them.
    pub(crate) async fn resume_network(
        self: &Arc<Self>,
        record: Record,
        payload: &str,
    ) -> Result<(), Problem> {
        let intent = serde_json::from_str(payload).unwrap_or(Intent { up: None });
        // The engine must answer, or the job waits.
        self.driver.engine().await?;
        let this = self.clone();
        tokio::spawn(async move {
            let _held = this.share(&record.project, &record.name).await;
            if let Err(problem) = this.new_network(&record, intent).await {
                tracing::warn!(env = record.label(), %problem, "networks that were made anew");
            }
        });
        Ok(())
    }

    /// How an environment's services were asked for, when they are up.
    pub(crate) async fn services_wanted(&self, id: Uuid) -> Result<Option<UpOptions>, Problem> {
        let row = store::find(&self.store, id).await?.filter(|row| row.phase == Phase::Up);
        Ok(row.and_then(|row| row.record).map(|record| record.options))
    }

    /// Whether an environment has a subnet of its own.
    pub(crate) async fn has_network(&self, id: Uuid) -> Result<bool, Problem> {
        Ok(store::find(&self.store, id).await?.is_some())
    }

    /// Ends services while their environment is made anew; with `volumes` their data goes.
    pub(crate) async fn rest_services(
        self: &Arc<Self>,
        id: Uuid,
        volumes: bool,
    ) -> Result<(), Problem> {
        if self.has_network(id).await? {
            let _turn = self.services_turn(id).await;
            let engine = self.driver.engine().await?;
            self.lower(&engine, id, volumes).await?;
        }
        Ok(())
    }
}
