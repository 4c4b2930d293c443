//! `env.status`, `env.service_logs`, `network.info`: services as others see them. The engine is
//! asked each time: it is the truth.

use std::collections::HashMap;
use std::sync::Arc;

use atelier_api::env::EnvRef;
use atelier_api::service::{
    EnvServiceLogsInput, NetworkReport, NetworkView, ServiceLog, ServiceState, ServiceView,
    Services,
};
use atelier_api::{ExitCode, Problem};
use atelier_compose::ServicePlan;
use atelier_engine::{Container, Engine, Health, Lines, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::record::{Phase, ServicesRecord, SharedUse};
use super::{ENVIRONMENT, HOME, names, store, subnets};
use crate::record::Record;
use crate::workshop::Workshop;

/// What a reader of addresses should know where they lead nowhere.
const LOOPBACK: &str = "this machine doesn't reach the addresses of the engine's containers: ports are \
    published on 127.0.0.1, see atelier env url";

impl Workshop {
    /// What an environment's services are doing.
    ///
    /// # Errors
    /// `env.not_found`, `env.no_services`.
    pub async fn status(self: &Arc<Self>, input: EnvRef) -> Result<Services, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        self.services_view(&record).await
    }

    pub(crate) async fn services_view(
        self: &Arc<Self>,
        record: &Record,
    ) -> Result<Services, Problem> {
        let mut view = Services {
            env: record.name.clone(),
            project: record.project.name.to_string(),
            services: Vec::new(),
            apex: None,
            subnets: Vec::new(),
            notes: Vec::new(),
        };
        let Some(services) = self.services_of(record.id).await? else { return Ok(view) };
        let engine = self.driver.engine().await?;
        let mut labels = vec![format!("{ENVIRONMENT}={}", record.id)];
        let mut containers = engine.examine(&labels).await?;
        for used in services.shared.values() {
            labels = vec![format!("com.docker.compose.project={}", used.scope)];
            containers.extend(engine.examine(&labels).await?);
        }
        view.services = services
            .all()
            .map(|(plan, used)| self.service_view(record, plan, used, &containers))
            .collect();
        view.services.sort_by(|a, b| a.name.cmp(&b.name));
        let suffix = &self.driver.settings.suffix;
        let ingress = services.all().any(|(plan, _)| plan.ingress);
        view.apex = ingress.then(|| format!("{}.{}.{suffix}", record.project.name, record.name));
        for network in &services.networks {
            view.subnets.push(network.subnet_v4.to_string());
            view.subnets.extend(network.subnet_v6.map(|v6| v6.to_string()));
        }
        view.notes = services.notes;
        view.notes.extend(self.driver.loopback(&engine).then(|| LOOPBACK.to_owned()));
        view.notes.extend(self.driver.names.shut(record.id).map(|why| {
            format!(
                "names lead to the services' own ports, not to port 80: {why}; see atelier env url"
            )
        }));
        Ok(view)
    }

    fn service_view(
        &self,
        record: &Record,
        plan: &ServicePlan,
        used: Option<&SharedUse>,
        containers: &[Container],
    ) -> ServiceView {
        let own: Vec<&Container> = containers.iter().filter(|c| c.service == plan.name).collect();
        let up = own.iter().any(|container| container.state == State::Running);
        let mut addresses = plan.addresses.clone();
        if addresses.is_empty() || used.is_some() {
            let mut all: Vec<_> =
                own.iter().flat_map(|c| &c.addresses).map(|(_, ip)| *ip).collect();
            all.dedup();
            addresses = used.map_or(all, |used| used.address.into_iter().collect());
        }
        let suffix = &self.driver.settings.suffix;
        let mut names = names::of_service(record, plan, suffix);
        names.retain(|name| !name.ends_with(".localhost"));
        ServiceView {
            name: plan.name.clone(),
            state: state(&own),
            exit_code: own.iter().find_map(|container| container.exit_code),
            addresses,
            ports: plan.ports.iter().map(|port| port.port).collect(),
            names,
            url: if up { self.url_of(record, plan, None).map(|url| url.url) } else { None },
            shared: used.is_some(),
            containers: own.iter().map(|container| container.name.clone()).collect(),
            image: own.first().map(|container| container.image.clone()),
        }
    }

    /// What an environment's services wrote.
    ///
    /// # Errors
    /// `env.no_service`.
    pub async fn service_logs(
        self: &Arc<Self>,
        input: EnvServiceLogsInput,
    ) -> Result<Vec<ServiceLog>, Problem> {
        use futures_util::StreamExt;
        let record = self.get(&input.project, &input.env).await?;
        self.had_services(&record).await?;
        let engine = self.driver.engine().await?;
        let mut logs = Vec::new();
        for container in self.containers_of(&engine, &record, &input.services).await? {
            let wanted = Lines { tail: input.tail, ..Lines::default() };
            let mut pieces = std::pin::pin!(engine.logs(&container.id, wanted));
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.next().await {
                bytes.extend(piece?.bytes);
            }
            let output_base64 = STANDARD.encode(bytes);
            logs.push(ServiceLog {
                service: container.service,
                container: container.name,
                output_base64,
            });
        }
        Ok(logs)
    }

    /// The networks of environments.
    ///
    /// # Errors
    /// When no engine answers.
    pub async fn network_info(self: &Arc<Self>) -> Result<NetworkReport, Problem> {
        let engine = self.driver.engine().await?;
        let rows = crate::store::environment_list(&self.store, None).await?;
        let labels: HashMap<String, String> = rows
            .into_iter()
            .filter_map(|row| Some((row.id.to_string(), row.record?.label())))
            .collect();
        let own = self.home_label();
        let networks =
            engine.networks().await?.into_iter().filter(|n| n.labels.get(HOME) == Some(&own));
        let (first, prefix) = self.driver.settings.subnets;
        let taken = store::list(&self.store).await?.len() as u64;
        Ok(NetworkReport {
            engine: self.driver.describe(&engine),
            range: format!("{first}/{prefix}"),
            free: u64::from(subnets::count((first, prefix))).saturating_sub(taken),
            networks: networks
                .map(|network| NetworkView {
                    environment: network
                        .labels
                        .get(ENVIRONMENT)
                        .and_then(|id| labels.get(id))
                        .cloned(),
                    name: network.name,
                    subnets: network.subnets,
                })
                .collect(),
        })
    }

    /// The containers of some services of an environment, or of all.
    pub(crate) async fn containers_of(
        self: &Arc<Self>,
        engine: &Engine,
        record: &Record,
        chosen: &[String],
    ) -> Result<Vec<Container>, Problem> {
        let services = self.services_of(record.id).await?;
        if let Some(services) = &services
            && let Some(unknown) =
                chosen.iter().find(|n| !services.all().any(|(p, _)| p.name == **n))
        {
            return Err(no_service(services, Some(unknown)));
        }
        let mut all = engine.containers(&[format!("{ENVIRONMENT}={}", record.id)]).await?;
        for used in services.iter().flat_map(|services| services.shared.values()) {
            let label = format!("com.docker.compose.project={}", used.scope);
            all.extend(engine.containers(&[label]).await?);
        }
        all.retain(|container| chosen.is_empty() || chosen.contains(&container.service));
        Ok(all)
    }

    /// Says of an environment whose services were never up that there are none, before an engine is asked.
    pub(crate) async fn had_services(&self, record: &Record) -> Result<(), Problem> {
        match self.services_of(record.id).await? {
            Some(_) => Ok(()),
            None => Err(none_yet(record)),
        }
    }

    /// What was planned for an environment.
    pub(crate) async fn services_of(&self, id: Uuid) -> Result<Option<ServicesRecord>, Problem> {
        Ok(store::find(&self.store, id).await?.and_then(|row| row.record))
    }

    /// The same, if it is wanted up.
    pub(crate) async fn services_up(&self, id: Uuid) -> Result<Option<ServicesRecord>, Problem> {
        let row = store::find(&self.store, id).await?;
        Ok(row.filter(|row| row.phase != Phase::Down).and_then(|row| row.record))
    }

    /// Changes of one environment's services wait for each other.
    pub(crate) async fn services_turn(&self, id: Uuid) -> OwnedMutexGuard<()> {
        self.driver.turn(id).lock_owned().await
    }

    /// Makes the names of an environment anew from what the engine says.
    pub(crate) async fn republish(self: &Arc<Self>, record: &Record) -> Result<(), Problem> {
        let Some(services) = self.services_up(record.id).await? else { return Ok(()) };
        let engine = self.driver.engine().await?;
        let label = format!("{ENVIRONMENT}={}", record.id);
        // A list may still have the ports of a container whose end is told at this moment.
        let containers = match self.driver.loopback(&engine) {
            true => engine.examine(&[label]).await?,
            false => engine.containers(&[label]).await?,
        };
        let front = self.open_front(&engine, record.id, &services).await;
        self.publish(&engine, record, &services, front, &containers).await
    }
}

/// An environment that has no services, or none yet.
pub(super) fn none_yet(record: &Record) -> Problem {
    let detail = format!("{} has no services", record.label());
    Problem::new("env.no_service", ExitCode::NotFound, detail)
        .hint(format!("start them: atelier env up {}", record.name))
}

fn state(own: &[&Container]) -> ServiceState {
    let worst = |container: &&Container| match (container.state, container.health) {
        (State::Dead, _) => (0, ServiceState::Down),
        (State::Exited, _) => (1, ServiceState::Exited),
        (State::Created, _) => (2, ServiceState::Created),
        (State::Restarting, _) => (3, ServiceState::Restarting),
        (State::Running, Some(Health::Unhealthy)) => (4, ServiceState::Unhealthy),
        (State::Paused, _) => (5, ServiceState::Paused),
        (State::Running, Some(Health::Starting)) => (6, ServiceState::Starting),
        (State::Running, _) => (7, ServiceState::Running),
    };
    own.iter()
        .map(worst)
        .min_by_key(|(rank, _)| *rank)
        .map_or(ServiceState::Down, |(_, state)| state)
}

pub(super) fn no_service(services: &ServicesRecord, name: Option<&str>) -> Problem {
    let there: Vec<&str> = services.all().map(|(plan, _)| plan.name.as_str()).collect();
    let detail = match name {
        Some(name) => format!("there is no service {name}"),
        None => "no service answers under the project's own name".to_owned(),
    };
    Problem::new("env.no_service", ExitCode::NotFound, detail)
        .hint(format!("there are: {}", there.join(", ")))
}
