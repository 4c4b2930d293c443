//! What an environment's volumes start with: nothing, a copy of another environment's, or a seed.
//!
//! Only what is new is filled. A service that says how its data is written out and read in
//! (`atelier.dump`, `atelier.restore`) is asked to do so; other volumes are copied while nobody writes.

mod archive;
mod dump;
mod half;
mod held;
mod repair;
mod seed;
mod source;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_compose::{Generated, ServicePlan, VolumePlan, plain};
use atelier_engine::{Engine, NewVolume, Volume};
use serde_json::Value;
use uuid::Uuid;

use self::half::Half;
use self::source::Source;
use super::record::ServicesRecord;
use super::up::Rise;
use super::{ENVIRONMENT, HOME, store};
use crate::workshop::Workshop;

/// On containers that only hold a volume for a while.
pub(super) const HELPER: &str = "dev.atelier.helper";
/// Compose's label for the service of a container.
const SERVICE: &str = "com.docker.compose.service";

/// What is to be filled.
#[derive(Debug, Default)]
struct Todo {
    /// Volumes that are copied.
    volumes: Vec<VolumePlan>,
    /// Services that read their data in by themselves.
    dumps: Vec<ServicePlan>,
}

impl Workshop {
    /// Fills volumes that are new from where it was asked.
    pub(super) async fn fill_volumes(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        file: &Path,
        plan: &Generated,
        services: &mut ServicesRecord,
    ) -> Result<(), Problem> {
        let (id, folder) = (rise.record.id, self.folder(rise.record.id));
        half::discard(rise.engine, &folder, id).await?;
        let Some(from) = &rise.options.data_from else { return Ok(()) };
        let source = self.source(rise, from).await?;
        let mut notes = Vec::new();
        let todo = self.todo(rise, plan, &source, &mut notes).await?;
        if let Err(problem) = self.fill(rise, file, plan, services, source, &todo).await {
            half::discard(rise.engine, &folder, id).await?;
            return Err(problem);
        }
        if !notes.is_empty() {
            services.notes.extend(notes);
            store::set_record(&self.store, id, services).await?;
        }
        Ok(())
    }

    /// What is new here and there.
    async fn todo(
        &self,
        rise: &Rise<'_>,
        plan: &Generated,
        source: &Source,
        notes: &mut Vec<String>,
    ) -> Result<Todo, Problem> {
        let mut fresh = Vec::new();
        for volume in plan.volumes.iter().filter(|volume| !volume.external) {
            if rise.engine.volume(&volume.name).await?.is_none() {
                fresh.push(volume.clone());
            } else {
                let key = &volume.key;
                notes.push(format!("the volume {key} is there already and was left as it is"));
            }
        }
        let own = [format!("{ENVIRONMENT}={}", rise.record.id)];
        let there = rise.engine.containers(&own).await?;
        let wanted = wanted(plan, rise.only);
        let new = |service: &ServicePlan| {
            wanted.contains(service.name.as_str())
                && !there.iter().any(|c| c.service == service.name)
                && service.volumes.iter().all(|name| fresh.iter().any(|v| v.name == *name))
        };
        let by_itself = |s: &&ServicePlan| s.restore.is_some() && source.has_dump(&s.name);
        let dumps: Vec<ServicePlan> =
            plan.services.iter().filter(by_itself).filter(|s| new(s)).cloned().collect();
        fresh.retain(|volume| !dumps.iter().any(|s| s.volumes.contains(&volume.name)));
        let mut volumes = Vec::new();
        for volume in fresh {
            if source.has_volume(rise.engine, &volume.key).await? {
                volumes.push(volume);
            } else {
                notes.push(format!("{source} has no volume {}: it starts empty", volume.key));
            }
        }
        Ok(Todo { volumes, dumps })
    }

    async fn fill(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        file: &Path,
        plan: &Generated,
        services: &ServicesRecord,
        source: Source,
        todo: &Todo,
    ) -> Result<(), Problem> {
        if todo.volumes.is_empty() && todo.dumps.is_empty() {
            return Ok(());
        }
        let folder = self.folder(rise.record.id);
        let read_in = todo.dumps.iter().flat_map(|service| service.volumes.clone());
        let half = Half {
            volumes: todo.volumes.iter().map(|v| v.name.clone()).chain(read_in).collect(),
            services: todo.dumps.iter().map(|service| service.name.clone()).collect(),
        };
        half::begin(&folder, &half)?;
        let dumps = self.write_dumps(rise.engine, &source, &todo.dumps, &folder).await?;
        self.copy_volumes(rise, plan, services, &source, &todo.volumes).await?;
        // Others may have what they need from there while ours is read in.
        drop(source);
        self.read_dumps(rise, file, plan, services, &dumps).await?;
        half::end(&folder)
    }

    /// Copies volumes while nobody writes into them.
    async fn copy_volumes(
        &self,
        rise: &Rise<'_>,
        plan: &Generated,
        services: &ServicesRecord,
        source: &Source,
        volumes: &[VolumePlan],
    ) -> Result<(), Problem> {
        let labels = self.helper_labels(rise.record.id);
        let mut made = Vec::new();
        for volume in volumes {
            let new = new_volume(volume, &plan.file, &services.scope);
            made.push((volume.key.as_str(), rise.engine.make_volume(new).await?));
        }
        let held = source.hold_still(self, rise.engine, volumes).await?;
        let copied = copy_each(rise.engine, source, &made, &labels).await;
        if let Some(held) = held {
            held.thaw().await?;
        }
        copied
    }

    /// What containers carry that only hold a volume.
    fn helper_labels(&self, id: Uuid) -> HashMap<String, String> {
        let own =
            [(HOME, self.home_label()), (ENVIRONMENT, id.to_string()), (HELPER, "data".into())];
        own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

async fn copy_each(
    engine: &Engine,
    source: &Source,
    volumes: &[(&str, Volume)],
    labels: &HashMap<String, String>,
) -> Result<(), Problem> {
    for (key, to) in volumes {
        source.copy(engine, key, to, labels).await?;
    }
    Ok(())
}

/// A volume as Compose would have made it.
fn new_volume(volume: &VolumePlan, file: &Value, scope: &str) -> NewVolume {
    let section = plain(&file["volumes"][&volume.key]);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let options = section["driver_opts"].as_object().into_iter().flatten();
    let mut labels: HashMap<String, String> = volume.labels.clone().into_iter().collect();
    labels.insert("com.docker.compose.project".to_owned(), scope.to_owned());
    labels.insert("com.docker.compose.volume".to_owned(), volume.key.clone());
    NewVolume {
        name: volume.name.clone(),
        labels,
        driver: section["driver"].as_str().map(str::to_owned),
        options: options.map(|(name, value)| (name.clone(), text(value))).collect(),
    }
}

/// The services that were asked for with those that they depend on.
fn wanted<'a>(plan: &'a Generated, only: &'a [String]) -> HashSet<&'a str> {
    if only.is_empty() {
        return plan.services.iter().map(|service| service.name.as_str()).collect();
    }
    let mut wanted = HashSet::new();
    let mut next: Vec<&str> = only.iter().map(String::as_str).collect();
    while let Some(name) = next.pop() {
        if wanted.insert(name) {
            let below = plan.services.iter().find(|service| service.name == name);
            next.extend(below.iter().flat_map(|s| s.depends_on.iter().map(String::as_str)));
        }
    }
    wanted
}
