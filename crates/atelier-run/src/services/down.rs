//! `env.down`, and the taking back of services that were never whole. It goes by the engine's labels,
//! so that it needs neither the files nor what we remember, and can be repeated.

use std::collections::HashMap;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::service::{EnvDownInput, EnvRestartInput, Services};
use atelier_engine::{Container, Engine, EngineError};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::record::{Phase, ServicesRecord};
use super::{ENVIRONMENT, store};
use crate::workshop::Workshop;

/// The journal's word for it.
pub(crate) const KIND: &str = "env.down";

impl Workshop {
    /// Stops an environment's services.
    ///
    /// # Errors
    /// What keeps containers from ending.
    pub async fn down(self: &Arc<Self>, input: EnvDownInput) -> Result<Services, Problem> {
        let project = self.project(&input.project).await?;
        let _held = self.share(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let _turn = self.services_turn(record.id).await;
        if store::find(&self.store, record.id).await?.is_some() {
            let engine = self.driver.engine().await?;
            let journal = self.store.journal();
            let job = journal.begin(KIND, &record.id.to_string(), &record.label()).await?;
            self.lower(&engine, record.id, input.volumes).await?;
            job.done().await?;
            self.tell_sandbox(&record).await?;
            self.events.publish("env.down", record.label(), json!({ "id": record.id }));
        }
        self.services_view(&record).await
    }

    /// Restarts services.
    ///
    /// # Errors
    /// `env.no_service`, or what the engine has against it.
    pub async fn restart(self: &Arc<Self>, input: EnvRestartInput) -> Result<Services, Problem> {
        let project = self.project(&input.project).await?;
        let _held = self.share(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let _turn = self.services_turn(record.id).await;
        let engine = self.driver.engine().await?;
        let chosen = self.containers_of(&engine, &record, &input.services).await?;
        each(chosen, |container| {
            let engine = engine.clone();
            async move { engine.restart(&container.id).await }
        })
        .await?;
        if let Some(services) = self.services_of(record.id).await? {
            let label = format!("{ENVIRONMENT}={}", record.id);
            let limit = self.limit(&services.options);
            super::wait::well(&engine, &label, &services, limit).await?;
        }
        self.republish(&record).await?;
        self.services_view(&record).await
    }

    /// Takes an environment's containers and networks away, and its volumes if asked.
    pub(crate) async fn lower(
        self: &Arc<Self>,
        engine: &Engine,
        id: Uuid,
        volumes: bool,
    ) -> Result<(), Problem> {
        self.driver.names.withdraw(id);
        let services = self.services_of(id).await?;
        clear(engine, &format!("{ENVIRONMENT}={id}"), services.as_ref(), volumes).await?;
        store::set_phase(&self.store, id, Phase::Down).await?;
        if let Some(services) = services {
            self.leave_shared(engine, &services);
        }
        Ok(())
    }

    /// Takes away everything that an environment has in the engine, for good.
    pub(crate) async fn forget_services(self: &Arc<Self>, id: Uuid) -> Result<(), Problem> {
        // Whoever makes its names anew at this moment does so before they go.
        let _turn = self.services_turn(id).await;
        let Some(_row) = store::find(&self.store, id).await? else { return Ok(()) };
        let engine = self.driver.engine().await?;
        self.lower(&engine, id, true).await?;
        store::gone(&self.store, id).await
    }
}

/// Takes away what carries a label: containers, those that others depend on last, then networks; with
/// `volumes` their data and the images that were built for them as well.
pub(super) async fn clear(
    engine: &Engine,
    label: &str,
    services: Option<&ServicesRecord>,
    volumes: bool,
) -> Result<(), Problem> {
    let labels = [label.to_owned()];
    let containers = engine.containers(&labels).await?;
    let _turn = engine.turn().await;
    for level in levels(containers, services) {
        each(level, |container| {
            let engine = engine.clone();
            async move {
                engine.stop(&container.id, None).await?;
                engine.remove(&container.id).await
            }
        })
        .await?;
    }
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    for network in engine.networks().await? {
        if network.labels.get(key).is_some_and(|own| own == value) {
            engine.remove_network(&network.name).await?;
        }
    }
    if volumes {
        for volume in engine.volumes(&labels).await? {
            engine.remove_volume(&volume.name).await?;
        }
        engine.remove_images(&labels).await?;
    }
    Ok(())
}

/// Does the same to each container at the same time.
async fn each<F>(
    containers: Vec<Container>,
    what: impl Fn(Container) -> F,
) -> Result<(), EngineError>
where
    F: Future<Output = Result<(), EngineError>> + Send + 'static,
{
    let mut all: JoinSet<_> = containers.into_iter().map(what).collect();
    let mut outcome = Ok(());
    while let Some(done) = all.join_next().await {
        if let Ok(Err(error)) = done {
            outcome = Err(error);
        }
    }
    outcome
}

/// Containers in the order in which they may go: who depends on others goes before them.
fn levels(containers: Vec<Container>, services: Option<&ServicesRecord>) -> Vec<Vec<Container>> {
    let needs: HashMap<&str, &[String]> = services
        .iter()
        .flat_map(|services| &services.services)
        .map(|plan| (plan.name.as_str(), plan.depends_on.as_slice()))
        .collect();
    let mut levels: Vec<Vec<Container>> = Vec::new();
    for container in containers {
        let at = depth(&container.service, &needs, 0);
        if levels.len() <= at {
            levels.resize_with(at + 1, Vec::new);
        }
        levels[at].push(container);
    }
    levels.reverse();
    levels
}

/// How many services stand below one.
fn depth(service: &str, needs: &HashMap<&str, &[String]>, so_far: usize) -> usize {
    // Compose refuses circles; a record that has one must not hang us.
    if so_far > needs.len() {
        return 0;
    }
    let below = needs.get(service).into_iter().flat_map(|below| below.iter());
    below.map(|name| 1 + depth(name, needs, so_far + 1)).max().unwrap_or(0)
}
