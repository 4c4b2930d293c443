//! What the doctor says of services: what should run and does not, what belongs to nobody, names that lead
//! elsewhere. The engine is the truth; what is mended is what we have beside it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::service::UpOptions;
use atelier_api::system::{Check, Verdict};
use atelier_engine::{Container, Engine};
use uuid::Uuid;

use super::record::Phase;
use super::store::ServicesRow;
use super::{ENVIRONMENT, HOME, down, repair, store};
use crate::record::Record;
use crate::workshop::Workshop;

/// Something that is not as it should be.
#[derive(Debug)]
enum Drift {
    /// Services that should run and don't.
    Down(Box<(Record, UpOptions)>),
    /// Names that lead elsewhere than the services are.
    Names(Box<Record>),
    /// Containers, networks or volumes of an environment that is not there.
    Stray(Uuid),
    /// A shared service that nobody uses.
    Unused(Uuid, String),
}

impl Workshop {
    /// Looks whether services are as they should be, and makes them so when asked. Nothing is said where
    /// there are none.
    pub async fn services_check(self: &Arc<Self>, fix: bool) -> Option<Check> {
        let rows = store::list(&self.store).await.ok()?;
        if rows.is_empty() {
            return None;
        }
        let found = match self.drift(&rows).await {
            Ok(found) => found,
            Err(problem) => return Some(check(Verdict::Warning, problem.detail, false)),
        };
        if found.is_empty() {
            return Some(check(Verdict::Ok, "as they should be".into(), false));
        }
        let says: Vec<String> = found.iter().map(Drift::says).collect();
        if !fix {
            return Some(check(Verdict::Warning, says.join("; "), true));
        }
        let mut failed = Vec::new();
        for drift in found {
            let says = drift.says();
            if let Err(problem) = self.mend(drift).await {
                failed.push(format!("{says}: {}", problem.detail));
            }
        }
        Some(match failed.is_empty() {
            true => check(Verdict::Fixed, format!("mended: {}", says.join("; ")), false),
            false => check(Verdict::Failed, failed.join("; "), false),
        })
    }

    /// Removes what belongs to no environment, data too, or only says what; a sentence each. An engine that
    /// does not answer has nothing.
    pub(crate) async fn stray_services(self: &Arc<Self>, dry_run: bool) -> Vec<String> {
        let mut said = Vec::new();
        let Ok(rows) = store::list(&self.store).await else { return said };
        let found = self.drift(&rows).await.unwrap_or_else(|problem| {
            tracing::info!(%problem, "the engine is not looked at");
            Vec::new()
        });
        for drift in found {
            if !matches!(drift, Drift::Stray(_) | Drift::Unused(..)) {
                continue;
            }
            let says = drift.says();
            match dry_run {
                true => said.push(says),
                false => match self.mend(drift).await {
                    Ok(()) => said.push(format!("{says}: removed")),
                    Err(problem) => tracing::warn!(%problem, says, "it stays"),
                },
            }
        }
        said
    }

    async fn drift(self: &Arc<Self>, rows: &[ServicesRow]) -> Result<Vec<Drift>, Problem> {
        let engine = self.driver.engine().await?;
        let environments = crate::store::environment_list(&self.store, None).await?;
        let records: HashMap<Uuid, Record> =
            environments.into_iter().filter_map(|row| Some((row.id, row.record?))).collect();
        let mut found = Vec::new();
        for row in rows {
            // Whoever changes it at this moment brings it where it should be.
            if self.driver.turn(row.environment).try_lock().is_err() {
                continue;
            }
            match records.get(&row.environment) {
                Some(record) => found.extend(self.drift_of(&engine, record, row).await?),
                None => found.extend(self.unused(row).await?),
            }
        }
        let mut known: HashSet<Uuid> = rows.iter().map(|row| row.environment).collect();
        known.extend(records.keys());
        known.extend(self.busy());
        found.extend(self.owners(&engine).await?.difference(&known).map(|id| Drift::Stray(*id)));
        Ok(found)
    }

    async fn drift_of(
        self: &Arc<Self>,
        engine: &Engine,
        record: &Record,
        row: &ServicesRow,
    ) -> Result<Option<Drift>, Problem> {
        let Some(services) = row.record.as_ref().filter(|_| row.phase == Phase::Up) else {
            return Ok(None);
        };
        if !repair::runs(engine, record.id, &services.services).await? {
            return Ok(Some(Drift::Down(Box::new((record.clone(), services.options.clone())))));
        }
        let containers = engine.containers(&[format!("{ENVIRONMENT}={}", record.id)]).await?;
        let names = self.driver.names.of(record.id);
        let own = names.iter().filter(|(_, target)| !services.shared.contains_key(&target.service));
        let lost = names.is_empty() && !services.services.is_empty();
        let elsewhere = lost || own.into_iter().any(|(_, t)| !leads(t, &containers));
        Ok(elsewhere.then(|| Drift::Names(Box::new(record.clone()))))
    }

    /// A row that is of no environment is a shared service's.
    async fn unused(&self, row: &ServicesRow) -> Result<Option<Drift>, Problem> {
        let Some(record) = &row.record else { return Ok(None) };
        let users = self.users(&record.scope, Uuid::nil()).await?;
        Ok(users.is_empty().then(|| Drift::Unused(row.environment, record.scope.clone())))
    }

    /// The environments of this home that something in the engine belongs to.
    async fn owners(&self, engine: &Engine) -> Result<HashSet<Uuid>, Problem> {
        let own = [format!("{HOME}={}", self.home_label())];
        let of_home = |labels: &HashMap<String, String>| {
            labels.get(HOME).is_some_and(|home| *home == self.home_label())
        };
        let mut labels: Vec<HashMap<String, String>> =
            engine.containers(&own).await?.into_iter().map(|c| c.labels).collect();
        labels.extend(engine.volumes(&own).await?.into_iter().map(|v| v.labels));
        labels.extend(engine.networks().await?.into_iter().map(|n| n.labels).filter(of_home));
        Ok(labels.iter().filter_map(|labels| labels.get(ENVIRONMENT)?.parse().ok()).collect())
    }

    async fn mend(self: &Arc<Self>, drift: Drift) -> Result<(), Problem> {
        match drift {
            Drift::Down(asked) => self.up_record(&asked.0, &[], &asked.1).await,
            Drift::Names(record) => self.republish(&record).await,
            Drift::Stray(id) => {
                let engine = self.driver.engine().await?;
                down::clear(&engine, &format!("{ENVIRONMENT}={id}"), None, true).await
            }
            Drift::Unused(id, _) => {
                let engine = self.driver.engine().await?;
                self.end_unused(&engine, id).await.map(|_| ())
            }
        }
    }
}

impl Drift {
    fn says(&self) -> String {
        match self {
            Self::Down(asked) => format!("services of {} don't run", asked.0.label()),
            Self::Names(record) => format!("names of {} lead elsewhere", record.label()),
            Self::Stray(id) => format!("the engine has things of {id}, which is no environment"),
            Self::Unused(_, scope) => format!("nobody uses the shared service {scope}"),
        }
    }
}

/// Whether a name leads to where its service is.
fn leads(target: &super::names::Target, containers: &[Container]) -> bool {
    let own: Vec<&Container> = containers.iter().filter(|c| c.service == target.service).collect();
    let now: Vec<IpAddr> = own.iter().flat_map(|c| c.addresses.iter().map(|(_, ip)| *ip)).collect();
    let addresses = target.addresses.iter().all(|ip| now.contains(ip))
        && (target.addresses.is_empty() == now.is_empty());
    // A service inside another one's network has its ports there.
    let open =
        |port: &u16, door: &u16| containers.iter().any(|c| c.published.contains(&(*port, *door)));
    let Some(doors) = &target.doors else { return addresses };
    let known = own.iter().flat_map(|c| &c.published).all(|(port, _)| doors.contains_key(port));
    addresses && known && doors.iter().all(|(port, door)| open(port, door))
}

fn check(verdict: Verdict, detail: String, fixable: bool) -> Check {
    let remedy = fixable.then(|| "run 'atelier doctor --fix'".to_owned());
    Check { name: "services".into(), verdict, detail, remedy, fixable }
}
