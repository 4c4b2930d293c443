//! Shared services: one instance for many environments, known in each one's network under its own names.
//! Who uses it stands in the environments' own records, so there is no count that could be wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_compose::{Generated, Scope, SharedFile, shared_file};
use atelier_engine::{Container, Engine, State};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::bring::Bring;
use super::record::{Phase, ServicesRecord, SharedUse};
use super::up::{Rise, make_networks, slug, subnet_v4};
use super::{DEFINITION, HOME, SHARED, down, store, wait};
use crate::workshop::Workshop;

/// Compose's label for the project of a container.
const PROJECT: &str = "com.docker.compose.project";

impl Workshop {
    /// Starts what is shared, and brings it into an environment's networks.
    pub(super) async fn join_shared(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        scope: &Scope,
        plan: &Generated,
        services: &mut ServicesRecord,
    ) -> Result<(), Problem> {
        if plan.shared.is_empty() {
            return Ok(());
        }
        // Until this environment stands among the users, nobody may stop what it is about to use.
        let _one = self.driver.shared.lock().await;
        for wanted in &plan.shared {
            let (shared, container) = self.ensure_shared(rise, scope, &wanted.name).await?;
            let mut address = None;
            for network in &wanted.networks {
                let names = wanted.aliases.clone();
                rise.engine.connect(network, &container.id, names, None).await?;
                let at = rise.engine.containers(&[format!("{PROJECT}={}", shared.scope)]).await?;
                address = address.or_else(|| address_in(&at, &container.id, network));
            }
            let used = SharedUse { container: container.name, address, ..shared };
            services.shared.insert(wanted.name.clone(), used);
        }
        store::set_record(&self.store, rise.record.id, services).await
    }

    /// The instance of a shared service, started or made anew if need be.
    async fn ensure_shared(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        scope: &Scope,
        service: &str,
    ) -> Result<(SharedUse, Container), Problem> {
        let id = shared_id(&rise.record.project.id(), service);
        let subnet = self.subnet(rise.engine, id, false).await?;
        let own = self.shared_scope(rise, scope, service, id, subnet_v4(subnet)?);
        let SharedFile { generated, hash } = shared_file(&rise.model, service, &own)?;
        let labels = [format!("{PROJECT}={}", own.name)];
        let there = rise.engine.containers(&labels).await?;
        let differs =
            there.iter().any(|c| c.labels.get(DEFINITION).is_some_and(|has| *has != hash));
        if differs {
            let users = self.users(&own.name, rise.record.id).await?;
            if !users.is_empty() {
                return Err(conflict(service, &users));
            }
        }
        let running = there.iter().find(|c| c.state == State::Running).cloned();
        let container = match running.filter(|_| !differs) {
            Some(container) => container,
            None => self.start_shared(rise, &own, service, &generated, &hash).await?,
        };
        let plan = generated.services.into_iter().next();
        let plan = plan.ok_or_else(|| vanished(service))?;
        let used = SharedUse { scope: own.name, container: String::new(), address: None, plan };
        Ok((used, container))
    }

    fn shared_scope(
        &self,
        rise: &Rise<'_>,
        scope: &Scope,
        service: &str,
        id: Uuid,
        subnet: atelier_compose::SubnetV4,
    ) -> Scope {
        let text = id.simple().to_string();
        let name = format!("{}-shared-{service}-{}", rise.record.project.name, &text[..8]);
        let mut own = Scope::new(&slug(&name), subnet);
        own.labels = BTreeMap::from([
            (HOME.to_owned(), self.home_label()),
            (SHARED.to_owned(), id.to_string()),
        ]);
        // It outlives the environment that happens to start it, so its files are the project's own.
        own.root = rise.tree.clone();
        own.tree = rise.record.project.root.clone();
        own.loopback = scope.loopback;
        own.suffix = scope.suffix.clone();
        own.env = scope.env.clone();
        own.project = scope.project.clone();
        own
    }

    async fn start_shared(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        scope: &Scope,
        service: &str,
        plan: &Generated,
        hash: &str,
    ) -> Result<Container, Problem> {
        let id = shared_id(&rise.record.project.id(), service);
        make_networks(rise.engine, &plan.networks).await?;
        let mut file = plan.file.clone();
        if let Some(labels) = file["services"][service]["labels"].as_object_mut() {
            labels.insert(DEFINITION.to_owned(), hash.into());
        }
        let path = self.shared_file(id);
        super::files::write_private(&path, &file)?;
        let label = format!("{SHARED}={id}");
        let bring = Bring {
            engine: rise.engine,
            project: &scope.name,
            label: &label,
            file: &path,
            folder: &rise.record.project.root,
            plan: &Generated { file, ..plan.clone() },
            only: &[],
            build: false,
            recreate: false,
            limit: self.limit(rise.options),
            variables: Vec::new(),
        };
        self.bring(&bring).await?;
        let record = ServicesRecord {
            scope: scope.name.clone(),
            options: rise.options.clone(),
            services: plan.services.clone(),
            shared: BTreeMap::new(),
            networks: plan.networks.clone(),
            volumes: plan.volumes.clone(),
            notes: Vec::new(),
        };
        let limit = self.limit(rise.options);
        let containers = wait::well(rise.engine, &label, &record, limit).await?;
        store::set_record(&self.store, id, &record).await?;
        store::set_phase(&self.store, id, Phase::Up).await?;
        containers.into_iter().next().ok_or_else(|| vanished(service))
    }

    /// Where the complete file of a shared service lies.
    fn shared_file(&self, id: Uuid) -> PathBuf {
        self.home.environments().join(format!("shared-{}.json", id.simple()))
    }

    /// The environments that use a shared service, but for one.
    pub(super) async fn users(&self, scope: &str, but: Uuid) -> Result<Vec<String>, Problem> {
        let names = crate::store::environment_list(&self.store, None).await?;
        let rows = store::list(&self.store).await?;
        let uses = |row: &store::ServicesRow| {
            let record = row.record.as_ref().filter(|_| row.phase != Phase::Down);
            row.environment != but
                && record.is_some_and(|record| record.shared.values().any(|u| u.scope == scope))
        };
        let label = |row: store::ServicesRow| {
            let found = names.iter().find(|env| env.id == row.environment);
            found.and_then(|env| env.record.as_ref()).map(crate::record::Record::label)
        };
        Ok(rows.into_iter().filter(uses).filter_map(label).collect())
    }

    /// An environment does not use its shared services any more: what nobody uses stops after a while.
    pub(super) fn leave_shared(self: &Arc<Self>, engine: &Engine, services: &ServicesRecord) {
        let Some(grace) = self.driver.settings.grace else { return };
        for used in services.shared.values() {
            let (this, engine, used) = (self.clone(), engine.clone(), used.clone());
            tokio::spawn(async move {
                tokio::time::sleep(grace).await;
                if let Err(problem) = this.stop_shared(&engine, &used.scope).await {
                    tracing::warn!(%problem, service = used.plan.name, "a shared service goes on");
                }
            });
        }
    }

    /// Stops a shared service that nobody uses. What its volumes hold stays.
    pub(crate) async fn stop_shared(
        self: &Arc<Self>,
        engine: &Engine,
        scope: &str,
    ) -> Result<bool, Problem> {
        let rows = store::list(&self.store).await?;
        let row =
            rows.into_iter().find(|row| row.record.as_ref().is_some_and(|r| r.scope == scope));
        match row {
            Some(row) => self.end_unused(engine, row.environment).await,
            None => Ok(false),
        }
    }

    /// The same by the id that it has in the table. One that was never whole has no users either.
    pub(crate) async fn end_unused(
        self: &Arc<Self>,
        engine: &Engine,
        id: Uuid,
    ) -> Result<bool, Problem> {
        let _one = self.driver.shared.lock().await;
        // As it is now that nobody changes it.
        let Some(row) = store::find(&self.store, id).await? else { return Ok(false) };
        if let Some(record) = &row.record
            && !self.users(&record.scope, Uuid::nil()).await?.is_empty()
        {
            return Ok(false);
        }
        let label = format!("{SHARED}={}", row.environment);
        down::clear(engine, &label, row.record.as_ref(), false).await?;
        let _ = std::fs::remove_file(self.shared_file(row.environment));
        store::gone(&self.store, row.environment).await?;
        Ok(true)
    }
}

/// The id that stands for a shared service of a project where environments have theirs.
pub(super) fn shared_id(project: &str, service: &str) -> Uuid {
    let hash =
        Sha256::new().chain_update(project).chain_update([0]).chain_update(service).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn address_in(containers: &[Container], id: &str, network: &str) -> Option<IpAddr> {
    let own = containers.iter().find(|container| container.id == id)?;
    own.addresses.iter().find(|(name, ip)| name == network && ip.is_ipv4()).map(|(_, ip)| *ip)
}

fn conflict(service: &str, users: &[String]) -> Problem {
    let detail = format!(
        "the shared service {service} is wanted differently here than {} use{} it",
        users.join(", "),
        if users.len() == 1 { "s" } else { "" }
    );
    Problem::new("env.shared_conflict", ExitCode::Conflict, detail)
        .hint(format!("have one of your own: --isolate {service}"))
        .hint("or take the others down first; the shared one is then made anew")
}

fn vanished(service: &str) -> Problem {
    let detail = format!("the shared service {service} was started and is not there");
    Problem::new("env.service_failed", ExitCode::Engine, detail)
        .hint("look what the engine says: docker ps -a")
}
