//! Where data comes from: another environment of the project, or one of its seeds.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::{ExitCode, Name, Problem};
use atelier_compose::{ServicePlan, VolumePlan};
use atelier_engine::{Container, Engine, State, Volume};
use tokio::sync::OwnedMutexGuard;

use super::super::ENVIRONMENT;
use super::super::record::ServicesRecord;
use super::super::up::Rise;
use super::archive;
use super::held::Held;
use super::seed::Kept;
use crate::error::busy;
use crate::record::Record;
use crate::workshop::Workshop;

/// In front of a name that is to mean a seed.
const SEED: &str = "seed:";

/// Where data comes from.
pub(super) enum Source {
    /// An environment.
    Environment(Box<Origin>),
    /// A seed.
    Seed(Kept),
}

/// An environment as the origin of data. Nobody else changes it meanwhile.
pub(super) struct Origin {
    record: Record,
    services: ServicesRecord,
    running: Vec<Container>,
    _turn: OwnedMutexGuard<()>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(origin) => write!(f, "the environment {}", origin.record.name),
            Self::Seed(kept) => write!(f, "the seed {}", kept.name),
        }
    }
}

impl Workshop {
    /// What a name means: the environment before the seed.
    pub(super) async fn source(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        from: &str,
    ) -> Result<Source, Problem> {
        let project = &rise.record.project;
        let (forced, text) = from.strip_prefix(SEED).map_or((false, from), |name| (true, name));
        if let Ok(name) = text.parse::<Name>() {
            if let (false, Some(record)) = (forced, self.find(project, &name).await?) {
                return Ok(Source::Environment(Box::new(self.origin(rise, record).await?)));
            }
            if let Some(kept) = self.kept(&project.id(), &name)? {
                return Ok(Source::Seed(kept));
            }
        }
        Err(self.unknown(rise, from, forced).await)
    }

    async fn origin(self: &Arc<Self>, rise: &Rise<'_>, record: Record) -> Result<Origin, Problem> {
        if record.id == rise.record.id {
            let detail = format!("{} is the environment itself", record.name);
            return Err(Problem::new("env.data_from", ExitCode::Usage, detail)
                .hint("name another environment, or a seed"));
        }
        // Two that want each other's data would wait for ever.
        let turn = tokio::time::timeout(self.limit(rise.options), self.services_turn(record.id));
        let turn = turn.await.map_err(|_| busy(&record.name, "being changed"))?;
        let Some(services) = self.services_of(record.id).await? else {
            return Err(no_data(&record.name));
        };
        let mut running = rise.engine.containers(&[format!("{ENVIRONMENT}={}", record.id)]).await?;
        running.retain(|container| container.state == State::Running);
        Ok(Origin { record, services, running, _turn: turn })
    }

    async fn unknown(&self, rise: &Rise<'_>, from: &str, forced: bool) -> Problem {
        let project = rise.record.project.id();
        let seeds = self.kept_all(&project).unwrap_or_default();
        let seeds: Vec<&str> = seeds.iter().map(|kept| kept.name.as_str()).collect();
        let rows = crate::store::environment_list(&self.store, Some(&project)).await;
        let rows = rows.unwrap_or_default();
        let envs: Vec<&str> = rows
            .iter()
            .map(|row| row.name.as_str())
            .filter(|n| *n != rise.record.name.as_str())
            .collect();
        let what = if forced { "no seed" } else { "neither an environment nor a seed" };
        let name = from.strip_prefix(SEED).unwrap_or(from);
        let detail = format!("the project {} has {what} {name}", rise.record.project.name);
        let listed = |all: &[&str]| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        let mut problem = Problem::new("env.data_from", ExitCode::NotFound, detail);
        if !forced {
            problem = problem.hint(format!("environments: {}", listed(&envs)));
        }
        problem.hint(format!("seeds: {}", listed(&seeds)))
    }
}

impl Source {
    /// Whether a service's own tool has written its data, or can.
    pub(super) fn has_dump(&self, service: &str) -> bool {
        match self {
            Self::Environment(origin) => origin.dumper(service).is_some(),
            Self::Seed(kept) => kept.manifest.dumps.iter().any(|part| part.name == service),
        }
    }

    /// The command that writes a service's data out, with the container to run it in; the file, where
    /// that was done before.
    pub(super) fn dump(&self, service: &str) -> Option<Dump<'_>> {
        match self {
            Self::Environment(origin) => {
                let (container, command) = origin.dumper(service)?;
                Some(Dump::Now { container, command })
            }
            Self::Seed(kept) => Some(Dump::File(kept.dump_file(service))),
        }
    }

    /// Whether there is such a volume.
    pub(super) async fn has_volume(&self, engine: &Engine, key: &str) -> Result<bool, Problem> {
        match self {
            Self::Environment(origin) => Ok(origin.volume(engine, key).await?.is_some()),
            Self::Seed(kept) => Ok(kept.manifest.volumes.iter().any(|part| part.name == key)),
        }
    }

    /// Freezes who writes into these volumes.
    pub(super) async fn hold_still(
        &self,
        workshop: &Workshop,
        engine: &Engine,
        volumes: &[VolumePlan],
    ) -> Result<Option<Held>, Problem> {
        let Self::Environment(origin) = self else { return Ok(None) };
        let keys = volumes.iter().map(|volume| volume.key.as_str());
        let names: Vec<&str> = keys.filter_map(|key| origin.volume_name(key)).collect();
        Ok(Some(hold_still(workshop, engine, &origin.record, &names).await?))
    }

    /// Copies one volume.
    pub(super) async fn copy(
        &self,
        engine: &Engine,
        key: &str,
        to: &Volume,
        labels: &HashMap<String, String>,
    ) -> Result<(), Problem> {
        match self {
            Self::Environment(origin) => {
                if let Some(from) = origin.volume(engine, key).await? {
                    engine.copy_volume(&from, to, labels).await?;
                }
            }
            Self::Seed(kept) => {
                let holder = engine.hold(&to.name, labels.clone()).await?;
                let written = holder.write(archive::read(kept.volume_file(key))).await;
                holder.close().await?;
                written?;
            }
        }
        Ok(())
    }
}

/// Data as a service's own tool writes it.
pub(super) enum Dump<'a> {
    /// By this command in this container.
    Now { container: &'a Container, command: &'a str },
    /// It was.
    File(PathBuf),
}

impl Origin {
    fn dumper(&self, service: &str) -> Option<(&Container, &str)> {
        dumper(&self.services.services, &self.running, service)
    }

    fn volume_name(&self, key: &str) -> Option<&str> {
        let mut own = self.services.volumes.iter().filter(|volume| !volume.external);
        Some(own.find(|volume| volume.key == key)?.name.as_str())
    }

    async fn volume(&self, engine: &Engine, key: &str) -> Result<Option<Volume>, Problem> {
        match self.volume_name(key) {
            Some(name) => Ok(engine.volume(name).await?),
            None => Ok(None),
        }
    }
}

/// The container and the command that write a service's data out, if it says how and runs.
pub(super) fn dumper<'a>(
    services: &'a [ServicePlan],
    running: &'a [Container],
    service: &str,
) -> Option<(&'a Container, &'a str)> {
    let plan = services.iter().find(|plan| plan.name == service)?;
    let container = running.iter().find(|container| container.service == service)?;
    plan.restore.as_ref()?;
    Some((container, plan.dump.as_deref()?))
}

/// Freezes whoever has one of these volumes.
pub(super) async fn hold_still(
    workshop: &Workshop,
    engine: &Engine,
    record: &Record,
    volumes: &[&str],
) -> Result<Held, Problem> {
    let mut users = Vec::new();
    for volume in volumes {
        users.extend(engine.users_of(volume).await?);
    }
    Held::freeze(engine, &workshop.folder(record.id), &users).await
}

/// There is nothing to take.
pub(super) fn no_data(name: &Name) -> Problem {
    let detail = format!("the environment {name} has no data: its services were never started");
    Problem::new("env.no_data", ExitCode::NotFound, detail)
        .hint(format!("start them: atelier env up {name}"))
}
