//! `env.up`: from Compose files to services that run, are healthy and have names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atelier_api::Problem;
use atelier_api::service::{EnvUpInput, Services, UpOptions};
use atelier_compose::{Generated, Model, NetworkPlan, Scope, SubnetV4, SubnetV6, generate};
use atelier_engine::{Container, Engine, EngineError, NewNetwork, NewSubnet};
use atelier_store::Job;
use serde_json::json;
use uuid::Uuid;

use super::bring::Bring;
use super::files::write_private;
use super::reached::Reached;
use super::record::{Phase, ServicesRecord};
use super::subnets::{PREFIX, Subnet};
use super::{ENVIRONMENT, HOME, names, store, wait};
use crate::error::broken;
use crate::record::Record;
use crate::workshop::Workshop;

/// The journal's word for it.
pub(crate) const KIND: &str = "env.up";
/// Subnets that are tried when somebody else is faster.
const TRIES: u32 = 4;
/// Bits of one environment's IPv6 subnet.
const PREFIX_V6: u8 = 64;

/// What `up` works with.
pub(super) struct Rise<'a> {
    pub(super) engine: &'a Engine,
    pub(super) record: &'a Record,
    pub(super) tree: PathBuf,
    pub(super) model: Model,
    pub(super) only: &'a [String],
    pub(super) options: &'a UpOptions,
    pub(super) job: &'a Job,
}

impl Workshop {
    /// Starts an environment's services.
    ///
    /// # Errors
    /// `env.no_services`; what Compose, the engine or a service has against it.
    pub async fn up(self: &Arc<Self>, input: EnvUpInput) -> Result<Services, Problem> {
        let project = self.project(&input.project).await?;
        // A removal waits until they are up.
        let _held = self.share(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        self.up_record(&record, &input.services, &input.options).await?;
        self.services_view(&record).await
    }

    /// The same for an environment that is at hand.
    pub(crate) async fn up_record(
        self: &Arc<Self>,
        record: &Record,
        only: &[String],
        options: &UpOptions,
    ) -> Result<(), Problem> {
        let _turn = self.services_turn(record.id).await;
        // Its names may have changed while others had their turn.
        let now = self.record_of(record.id).await?;
        let record = now.as_ref().unwrap_or(record);
        let tree = self.show_tree(record).await?;
        let model = self.load_services(record, &tree, &options.profiles).await?;
        if !options.trust {
            self.trusted(record, &tree, &model, &options.profiles).await?;
        }
        let engine = self.driver.engine().await?;
        let before = store::find(&self.store, record.id).await?;
        let was_up = before.is_some_and(|row| row.phase == Phase::Up);
        let job = self.store.journal().begin(KIND, &record.id.to_string(), &record.label()).await?;
        if !was_up {
            store::set_phase(&self.store, record.id, Phase::Starting).await?;
        }
        let rise = Rise { engine: &engine, record, tree, model, only, options, job: &job };
        match self.rise(&rise).await {
            Ok(()) => {
                job.done().await?;
                self.events.publish("env.up", record.label(), json!({ "id": record.id }));
                Ok(())
            }
            Err(problem) => {
                // What ran before goes on; what was never whole is taken back, but for its data.
                if !was_up {
                    self.lower(&engine, record.id, false).await?;
                }
                job.failed(&problem.detail).await?;
                Err(problem)
            }
        }
    }

    async fn rise(self: &Arc<Self>, rise: &Rise<'_>) -> Result<(), Problem> {
        let record = rise.record;
        rise.job.step("network").await?;
        let (mut scope, plan) = self.networks(rise).await?;
        scope.shared = shared_names(&plan, rise.options);
        let mut plan = generate(&rise.model, &scope)?;
        self.configured_names(record, &rise.tree, &mut plan)?;
        let mut services = planned(&scope, &plan, rise.options);
        store::set_record(&self.store, record.id, &services).await?;
        rise.job.step("shared").await?;
        self.join_shared(rise, &scope, &plan, &mut services).await?;
        let front = self.open_front(rise.engine, record.id, &services).await;
        scope.hosts = hosts(&self.table(record, &services, front, &Reached::default()));
        let plan = generate(&rise.model, &scope)?;
        let file = self.compose_file(record);
        write_private(&file, &plan.file)?;
        rise.job.step("data").await?;
        self.fill_volumes(rise, &file, &plan, &mut services).await?;
        rise.job.step("services").await?;
        self.start_all(rise, &scope.name, &file, &plan).await?;
        rise.job.step("health").await?;
        let label = format!("{ENVIRONMENT}={}", record.id);
        let containers =
            wait::well(rise.engine, &label, &services, self.limit(rise.options)).await?;
        store::set_phase(&self.store, record.id, Phase::Up).await?;
        self.publish(rise.engine, record, &services, front, &containers).await
    }

    /// Networks of this environment's own, in its subnet.
    async fn networks(self: &Arc<Self>, rise: &Rise<'_>) -> Result<(Scope, Generated), Problem> {
        let mut tries = 0;
        loop {
            let subnet = self.subnet(rise.engine, rise.record.id, tries > 0).await?;
            let mut scope = self.scope(rise.record, &rise.tree, subnet, rise.options)?;
            scope.loopback = self.driver.loopback(rise.engine);
            let plan = generate(&rise.model, &scope)?;
            let made = make_networks(rise.engine, &plan.networks).await;
            tries += 1;
            match made {
                Ok(()) => return Ok((scope, plan)),
                // Another home of this machine may have taken it since we looked.
                Err(EngineError::Refused { .. }) if tries < TRIES => {
                    remove_networks(rise.engine, &plan.networks).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn scope(
        &self,
        record: &Record,
        tree: &Path,
        subnet: Subnet,
        options: &UpOptions,
    ) -> Result<Scope, Problem> {
        let id = record.id.simple().to_string();
        let name = format!("{}-{}-{}", record.project.name, record.name, &id[id.len() - 8..]);
        let mut scope = Scope::new(&slug(&name), subnet_v4(subnet)?);
        scope.subnet_v6 = subnet.v6.and_then(|v6| SubnetV6::new(v6, PREFIX_V6));
        scope.labels = BTreeMap::from([
            (HOME.to_owned(), self.home_label()),
            (ENVIRONMENT.to_owned(), record.id.to_string()),
        ]);
        scope.root = record.project.root.clone();
        scope.tree = tree.to_owned();
        scope.publish = options.publish;
        scope.suffix = self.driver.settings.suffix.clone();
        scope.env = record.name.to_string();
        scope.project = record.project.name.to_string();
        Ok(scope)
    }

    /// The ingress in an environment's own network; none where this machine is not in it.
    pub(super) async fn open_front(
        &self,
        engine: &Engine,
        id: Uuid,
        services: &ServicesRecord,
    ) -> Option<IpAddr> {
        if self.driver.loopback(engine) {
            return None;
        }
        self.driver.names.open(id, services).await
    }

    pub(super) async fn start_all(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        project: &str,
        file: &Path,
        plan: &Generated,
    ) -> Result<(), Problem> {
        let bring = Bring {
            engine: rise.engine,
            project,
            label: &format!("{ENVIRONMENT}={}", rise.record.id),
            file,
            folder: &rise.tree,
            plan,
            only: rise.only,
            build: rise.options.build,
            recreate: rise.options.recreate,
            limit: self.limit(rise.options),
            variables: self.variables_of(rise.record, plan),
        };
        self.bring(&bring).await
    }

    fn variables_of(&self, record: &Record, plan: &Generated) -> Vec<(String, String)> {
        let mut known = record.options.variables.clone();
        known.extend(self.tokens(record));
        known.retain(|name, _| plan.variables.contains(name));
        known.into_iter().collect()
    }

    pub(super) fn limit(&self, options: &UpOptions) -> Duration {
        options.timeout.map_or(self.driver.settings.timeout, Duration::from_secs)
    }

    pub(super) fn table(
        &self,
        record: &Record,
        services: &ServicesRecord,
        front: Option<IpAddr>,
        reached: &Reached,
    ) -> BTreeMap<String, names::Target> {
        names::table(record, services, &self.driver.settings.suffix, front, reached)
    }

    /// Makes the names lead to what runs, here and in the environment's sandbox.
    pub(super) async fn publish(
        self: &Arc<Self>,
        engine: &Engine,
        record: &Record,
        services: &ServicesRecord,
        front: Option<IpAddr>,
        containers: &[Container],
    ) -> Result<(), Problem> {
        let reached = self.driver.reached(engine, services, containers).await?;
        let refused =
            self.driver.names.publish(record.id, self.table(record, services, front, &reached));
        if !refused.is_empty() {
            tracing::info!(env = record.label(), ?refused, "names that another environment has");
        }
        self.tell_sandbox(record).await
    }

    /// The workspace as a folder that the engine sees.
    pub(crate) async fn show_tree(self: &Arc<Self>, record: &Record) -> Result<PathBuf, Problem> {
        if !record.shown {
            return Err(super::tree::not_shown(record));
        }
        let folder = self.sandboxes.folders(record.id).root().to_owned();
        let workspace = record.workspace.clone();
        let shown = tokio::task::spawn_blocking(move || super::show_tree(&folder, &workspace));
        shown.await.map_err(|e| broken(&e))?.map_err(|e| super::tree::unmountable(record, &e))
    }
}

/// The services that are one instance for all: those with the label and those that were asked for.
fn shared_names(plan: &Generated, options: &UpOptions) -> BTreeSet<String> {
    let labelled = plan.services.iter().filter(|service| service.share);
    let mut shared: BTreeSet<String> = labelled.map(|service| service.name.clone()).collect();
    shared.extend(options.share.iter().cloned());
    shared.retain(|name| !options.isolate.contains(name));
    shared
}

fn planned(scope: &Scope, plan: &Generated, options: &UpOptions) -> ServicesRecord {
    ServicesRecord {
        scope: scope.name.clone(),
        // Where the first data came from does not matter any more when they are started again.
        // And trust is for once: commands inside may change the files again.
        options: UpOptions { data_from: None, trust: false, ..options.clone() },
        services: plan.services.clone(),
        shared: BTreeMap::new(),
        networks: plan.networks.clone(),
        volumes: plan.volumes.clone(),
        notes: plan.notes.clone(),
    }
}

/// Names with what they lead to, for the containers' own hosts files.
fn hosts(table: &BTreeMap<String, names::Target>) -> Vec<(String, IpAddr)> {
    let shown = |target: &names::Target| match (target.front, target.web) {
        (Some(front), Some(_)) => vec![front],
        _ => target.addresses.clone(),
    };
    let all = table.iter().filter(|(name, _)| !name.ends_with(".localhost"));
    all.flat_map(|(name, target)| shown(target).into_iter().map(|ip| (name.clone(), ip))).collect()
}

pub(super) async fn make_networks(
    engine: &Engine,
    plans: &[NetworkPlan],
) -> Result<(), EngineError> {
    for plan in plans {
        let mut subnets = vec![NewSubnet {
            subnet: plan.subnet_v4.to_string(),
            range: Some(plan.range_v4.to_string()),
            gateway: plan.gateway_v4.into(),
        }];
        if let (Some(subnet), Some(gateway)) = (plan.subnet_v6, plan.gateway_v6) {
            let range = plan.range_v6.map(|range| range.to_string());
            subnets.push(NewSubnet { subnet: subnet.to_string(), range, gateway: gateway.into() });
        }
        let new = NewNetwork {
            name: plan.name.clone(),
            subnets,
            internal: plan.internal,
            labels: plan.labels.clone().into_iter().collect(),
            options: plan.driver_opts.clone().into_iter().collect(),
        };
        engine.make_network(&new).await?;
    }
    Ok(())
}

async fn remove_networks(engine: &Engine, plans: &[NetworkPlan]) {
    for plan in plans {
        if let Err(error) = engine.remove_network(&plan.name).await {
            tracing::warn!(%error, "a network that was not wanted stays behind");
        }
    }
}

pub(super) fn subnet_v4(subnet: Subnet) -> Result<SubnetV4, Problem> {
    SubnetV4::new(subnet.v4, PREFIX).ok_or_else(|| {
        let detail = format!("{}/{PREFIX} is no subnet", subnet.v4);
        Problem::new("internal", atelier_api::ExitCode::Failed, detail)
    })
}

/// A name as Compose takes it for a project.
pub(super) fn slug(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let text: String = lower.chars().map(|c| if fine(c) { c } else { '-' }).collect();
    text.trim_start_matches(['-', '_']).to_owned()
}
