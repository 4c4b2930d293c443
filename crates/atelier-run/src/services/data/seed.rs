//! Seeds: an environment's data kept under a name, for environments that come later. A folder each, below
//! the project's: written aside and renamed, so that one that is there is whole.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::seed::{Seed, SeedListInput, SeedRef, SeedSaveInput};
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Name, Problem};
use atelier_compose::VolumePlan;
use atelier_engine::{Engine, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::super::ENVIRONMENT;
use super::super::files::write_private;
use super::super::record::ServicesRecord;
use super::archive::{self, unwritable};
use super::dump;
use super::source::{dumper, hold_still, no_data};
use crate::record::Record;
use crate::workshop::Workshop;

/// What a seed is made of. It is written last.
const MANIFEST: &str = "seed.json";
/// In front of a folder that is being written, before the process and a name that nobody else has.
const ASIDE: &str = ".new-";

/// What a seed is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    env: Name,
    made_at: Timestamp,
    /// By their keys in the Compose files.
    pub(super) volumes: Vec<Part>,
    /// By the services that wrote them.
    pub(super) dumps: Vec<Part>,
}

/// One file of a seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    bytes: u64,
}

/// A seed that is there.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) name: Name,
    folder: PathBuf,
    pub(super) manifest: Manifest,
}

impl Kept {
    pub(super) fn volume_file(&self, key: &str) -> PathBuf {
        volume_file(&self.folder, key)
    }

    pub(super) fn dump_file(&self, service: &str) -> PathBuf {
        dump_file(&self.folder, service)
    }

    fn view(self) -> Seed {
        let names = |parts: &[Part]| parts.iter().map(|part| part.name.clone()).collect();
        let all = self.manifest.volumes.iter().chain(&self.manifest.dumps);
        Seed {
            size_bytes: all.map(|part| part.bytes).sum(),
            name: self.name,
            env: self.manifest.env,
            made_at: self.manifest.made_at,
            volumes: names(&self.manifest.volumes),
            dumps: names(&self.manifest.dumps),
        }
    }
}

fn volume_file(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("volume-{key}.tar.zst"))
}

fn dump_file(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("dump-{service}.zst"))
}

/// A folder that goes away unless it becomes a seed.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Workshop {
    /// Keeps an environment's data under a name.
    ///
    /// # Errors
    /// `seed.exists`, `env.no_data`, what the engine or a service's tool has against it.
    pub async fn seed_save(self: &Arc<Self>, input: SeedSaveInput) -> Result<Seed, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        let place = self.seeds_of(&record.project.id());
        let folder = place.join(input.seed.as_str());
        if folder.exists() {
            return Err(exists(&input.seed));
        }
        let _turn = self.services_turn(record.id).await;
        let services = self.services_of(record.id).await?;
        let services = services.ok_or_else(|| no_data(&record.name))?;
        let engine = self.driver.engine().await?;
        let aside = aside(&place).map_err(|e| unwritable(&place, &e))?;
        let manifest = self.save_into(&engine, &record, &services, &aside.0).await?;
        write_private(&aside.0.join(MANIFEST), &json!(manifest))?;
        // Onto a seed that somebody else has saved meanwhile this fails: its folder is not empty.
        fs::rename(&aside.0, &folder).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => exists(&input.seed),
            _ => unwritable(&folder, &e),
        })?;
        self.events.publish("seed.save", record.label(), json!({ "seed": input.seed }));
        Ok(Kept { name: input.seed, folder, manifest }.view())
    }

    /// The seeds of a project, by name.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn seed_list(&self, input: SeedListInput) -> Result<Vec<Seed>, Problem> {
        let project = self.project(&input.project).await?;
        Ok(self.kept_all(&project.id())?.into_iter().map(Kept::view).collect())
    }

    /// Removes a seed.
    ///
    /// # Errors
    /// `seed.not_found`.
    pub async fn seed_remove(&self, input: SeedRef) -> Result<Nothing, Problem> {
        let project = self.project(&input.project).await?;
        let Some(kept) = self.kept(&project.id(), &input.seed)? else {
            return Err(self.no_seed(&project.id(), &input.seed));
        };
        let place = self.seeds_of(&project.id());
        let aside = Aside(place.join(aside_name()));
        fs::rename(&kept.folder, &aside.0).map_err(|e| unwritable(&kept.folder, &e))?;
        Ok(Nothing {})
    }

    async fn save_into(
        &self,
        engine: &Engine,
        record: &Record,
        services: &ServicesRecord,
        folder: &Path,
    ) -> Result<Manifest, Problem> {
        let own = [format!("{ENVIRONMENT}={}", record.id)];
        let mut running = engine.containers(&own).await?;
        running.retain(|container| container.state == State::Running);
        let mut dumps = Vec::new();
        for plan in &services.services {
            let Some((container, command)) = dumper(&services.services, &running, &plan.name)
            else {
                continue;
            };
            let file = dump_file(folder, &plan.name);
            let bytes = dump::write(engine, container, command, &file).await?;
            dumps.push(Part { name: plan.name.clone(), bytes });
        }
        let left = undumped(services, &dumps);
        let volumes = self.save_volumes(engine, record, &left, folder).await?;
        if volumes.is_empty() && dumps.is_empty() {
            return Err(no_data(&record.name));
        }
        Ok(Manifest { env: record.name.clone(), made_at: Timestamp::now(), volumes, dumps })
    }

    async fn save_volumes(
        &self,
        engine: &Engine,
        record: &Record,
        volumes: &[&VolumePlan],
        folder: &Path,
    ) -> Result<Vec<Part>, Problem> {
        let mut there = Vec::new();
        for volume in volumes {
            if engine.volume(&volume.name).await?.is_some() {
                there.push(*volume);
            }
        }
        let names: Vec<&str> = there.iter().map(|volume| volume.name.as_str()).collect();
        let held = hold_still(self, engine, record, &names).await?;
        let mut parts = Vec::new();
        for volume in there {
            let holder = engine.hold(&volume.name, self.helper_labels(record.id)).await?;
            let written = archive::write(&volume_file(folder, &volume.key), holder.read()).await;
            holder.close().await?;
            parts.push(Part { name: volume.key.clone(), bytes: written? });
        }
        held.thaw().await?;
        Ok(parts)
    }

    /// One seed of a project.
    pub(super) fn kept(&self, project: &str, name: &Name) -> Result<Option<Kept>, Problem> {
        let folder = self.seeds_of(project).join(name.as_str());
        let file = folder.join(MANIFEST);
        let bytes = match fs::read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| unreadable(&file, &e.to_string()))?,
        };
        let manifest =
            serde_json::from_slice(&bytes).map_err(|e| unreadable(&file, &e.to_string()))?;
        Ok(Some(Kept { name: name.clone(), folder, manifest }))
    }

    /// All of them, by name.
    pub(super) fn kept_all(&self, project: &str) -> Result<Vec<Kept>, Problem> {
        let entries = fs::read_dir(self.seeds_of(project)).into_iter().flatten().flatten();
        let mut names: Vec<Name> =
            entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        names.iter().filter_map(|name| self.kept(project, name).transpose()).collect()
    }

    /// Removes what other processes have left half-written; gives how many.
    pub(super) fn clear_seeds(&self) -> usize {
        let own = format!("{ASIDE}{}-", std::process::id());
        let projects = fs::read_dir(self.home.seeds()).into_iter().flatten().flatten();
        let all = projects.flat_map(|p| fs::read_dir(p.path()).into_iter().flatten().flatten());
        let left = all.filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(ASIDE) && !name.starts_with(&own)
        });
        left.filter(|entry| fs::remove_dir_all(entry.path()).is_ok()).count()
    }

    fn seeds_of(&self, project: &str) -> PathBuf {
        self.home.seeds().join(project)
    }

    fn no_seed(&self, project: &str, name: &Name) -> Problem {
        let kept = self.kept_all(project).unwrap_or_default();
        let there: Vec<&str> = kept.iter().map(|kept| kept.name.as_str()).collect();
        let problem = Problem::new(
            "seed.not_found",
            ExitCode::NotFound,
            format!("the project has no seed {name}"),
        );
        if there.is_empty() {
            return problem.hint(format!("save one: atelier env seed save {name} ENV"));
        }
        problem.hint(format!("there are: {}", there.join(", ")))
    }
}

/// The volumes that no service has written out.
fn undumped<'a>(services: &'a ServicesRecord, dumps: &[Part]) -> Vec<&'a VolumePlan> {
    let dumped = |volume: &VolumePlan| {
        let mut all = services.services.iter().filter(|s| dumps.iter().any(|d| d.name == s.name));
        all.any(|service| service.volumes.contains(&volume.name))
    };
    services.volumes.iter().filter(|volume| !volume.external && !dumped(volume)).collect()
}

fn aside(place: &Path) -> io::Result<Aside> {
    let folder = place.join(aside_name());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(Aside(folder))
}

fn aside_name() -> String {
    format!("{ASIDE}{}-{}", std::process::id(), Uuid::new_v4().simple())
}

fn exists(name: &Name) -> Problem {
    let detail = format!("the project has a seed {name} already");
    Problem::new("seed.exists", ExitCode::Conflict, detail)
        .hint(format!("remove it first: atelier env seed rm {name}"))
}

fn unreadable(path: &Path, why: &str) -> Problem {
    let detail = format!("{} can't be read: {why}", path.display());
    Problem::new("seed.broken", ExitCode::Failed, detail)
        .hint("remove the seed's folder, and save it again")
}
