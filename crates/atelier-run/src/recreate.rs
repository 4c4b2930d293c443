//! `env.recreate`: an environment made anew under its name.
//!
//! The new workspace is made beside the old one. What else its sandbox wrote is moved aside, and then the record
//! says both: what it is, and what it was before. Until the new one is whole a failure or a kill brings the old one
//! back; from then on it is finished.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use atelier_api::env::{EnvRecreateInput, Environment};
use atelier_api::service::UpOptions;
use atelier_api::{ExitCode, Problem};
use atelier_environment::Config;
use atelier_store::Job;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::error::{broken, in_use};
use crate::options::validate;
use crate::recipe::Plan;
use crate::record::{Record, Renewal};
use crate::services::has_services;
use crate::store;
use crate::workshop::Workshop;

/// The journal's word for it.
const KIND: &str = "env.recreate";
/// Where the old one's files lie meanwhile, besides its workspace.
const ASIDE: &str = "aside";
/// The name of every workspace's folder begins so.
const WORKSPACE: &str = "workspace";
/// Paths that a refusal names.
const SHOWN: usize = 10;

impl Workshop {
    /// Makes an environment anew.
    ///
    /// # Errors
    /// `env.unapplied` when it has changes that were not applied and `env.in_use` while commands run in it, unless
    /// forced; whatever stands in the way of the new one. The old one stays then.
    pub async fn recreate(
        self: &Arc<Self>,
        input: EnvRecreateInput,
    ) -> Result<Environment, Problem> {
        let project = self.project(&input.project).await?;
        let _guard = self.lock(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let _at_work = self.at_work(record.id);
        self.mend_renewal(record.clone()).await?;
        if !input.force {
            self.expendable(&record).await?;
        }
        let wanted = self.services_wanted(record.id).await?;
        let job = self.store.journal().begin(KIND, &record.id.to_string(), &record.label()).await?;
        let renewed = self.renew(&record, &input, &job).await;
        let now = match renewed {
            Ok(record) => record,
            Err(problem) => {
                let left = self.record_of(record.id).await?.unwrap_or_else(|| record.clone());
                self.mend_renewal(left).await?;
                self.up_again(&record, wanted).await;
                job.failed(&problem.detail).await?;
                return Err(problem);
            }
        };
        job.done().await?;
        self.events.publish("env.recreated", now.label(), json!({ "id": now.id }));
        self.collect_bases().await?;
        if let (Some(options), true) = (wanted, now.shown) {
            self.up_record(&now, &[], &options).await?;
        }
        self.view(&now).await
    }

    /// Starts services that ran before it was tried.
    async fn up_again(self: &Arc<Self>, record: &Record, wanted: Option<UpOptions>) {
        if let (Some(options), true) = (wanted, record.shown)
            && let Err(problem) = self.up_record(record, &[], &options).await
        {
            tracing::warn!(env = record.label(), %problem, "its services stay down");
        }
    }

    /// Refuses when something would be lost.
    async fn expendable(self: &Arc<Self>, record: &Record) -> Result<(), Problem> {
        let running = self.commands(record.id).await;
        if !running.is_empty() {
            let lines: Vec<String> = running.iter().map(|p| p.command.join(" ")).collect();
            return Err(in_use(&record.name, &lines));
        }
        let mut lost = self.unapplied_of(record.clone()).await?;
        if lost.is_empty() {
            return Ok(());
        }
        let more = lost.len().saturating_sub(SHOWN);
        lost.truncate(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let name = &record.name;
        let detail = format!("{name} has changes that were not applied: {}{more}", lost.join(", "));
        Err(Problem::new("env.unapplied", ExitCode::Conflict, detail)
            .hint(format!("bring them back first: atelier env apply {name}"))
            .hint("or lose them: --force"))
    }

    async fn renew(
        self: &Arc<Self>,
        record: &Record,
        input: &EnvRecreateInput,
        job: &Job,
    ) -> Result<Record, Problem> {
        let config = Config::load(&record.project.root)?;
        let mut new = record.clone();
        if let Some(from) = &input.from {
            new.options.from = Some(from.clone());
            new.options.empty = false;
        }
        validate(&new.options)?;
        job.step("workspace").await?;
        let folder = format!("{WORKSPACE}-{}", Uuid::now_v7().simple());
        new.workspace = self.copy(&Plan::of(&new, &config), &folder).await?;
        new.shown = has_services(&config, &new.project.root);
        new.port = config.port;
        new.created_at = Timestamp::now();
        job.step("stop").await?;
        self.sandboxes.stop(record.id).await?;
        self.rest_services(record.id, false).await?;
        self.hide(record.id).await?;
        job.step("aside").await?;
        self.put_aside(record, &folder).await?;
        let before = Box::new(Record { renewal: None, ..record.clone() });
        new.renewal = Some(Renewal { before, whole: false, keep_data: input.keep_data });
        self.write_down(&new).await?;
        self.begin(&new, &config, job).await?;
        // What runs now runs in the new one; the mounts of the old one's folders are gone already.
        job.step("finish").await?;
        if let Some(renewal) = &mut new.renewal {
            renewal.whole = true;
        }
        self.write_down(&new).await?;
        self.finish_renewal(new).await
    }

    /// After a kill: brings the old one back, or finishes the new one. Says whether there was anything.
    pub(crate) async fn mend_renewal(self: &Arc<Self>, record: Record) -> Result<bool, Problem> {
        let Some(renewal) = &record.renewal else {
            return self.clear_folders(&record).await;
        };
        if renewal.whole {
            self.finish_renewal(record).await?;
            return Ok(true);
        }
        self.sandboxes.stop(record.id).await?;
        self.hide(record.id).await?;
        let before = (*renewal.before).clone();
        let kept = [folder_of(&before), ASIDE.to_owned()];
        self.in_layers(&record, move |layers| remove_others(layers, &kept)).await?;
        self.write_down(&before).await?;
        self.clear_folders(&before).await?;
        Ok(true)
    }

    /// The new one is whole: the old one's files and data go.
    async fn finish_renewal(self: &Arc<Self>, mut record: Record) -> Result<Record, Problem> {
        let Some(renewal) = record.renewal.take() else { return Ok(record) };
        if !renewal.keep_data {
            self.rest_services(record.id, true).await?;
        }
        let old = folder_of(&renewal.before);
        self.in_layers(&record, move |layers| {
            atelier_environment::remove_layers(&layers.join(ASIDE))?;
            atelier_environment::remove_layers(&layers.join(old))?;
            Ok(())
        })
        .await?;
        self.write_down(&record).await?;
        Ok(record)
    }

    /// Moves back what was put aside, and removes workspaces that nobody stands on.
    async fn clear_folders(self: &Arc<Self>, record: &Record) -> Result<bool, Problem> {
        let layers = self.sandboxes.folders(record.id).layers(&record.options.resources);
        let own = folder_of(record);
        let odd = fs::read_dir(&layers).into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            name == ASIDE || is_other_workspace(&name.to_string_lossy(), &own)
        });
        if !odd {
            return Ok(false);
        }
        self.in_layers(record, move |layers| {
            take_back(layers).map_err(|e| unmovable(layers, &e))?;
            for entry in fs::read_dir(layers).into_iter().flatten().flatten() {
                if is_other_workspace(&entry.file_name().to_string_lossy(), &own) {
                    atelier_environment::remove_layers(&entry.path())?;
                }
            }
            Ok(())
        })
        .await?;
        Ok(true)
    }

    /// Moves everything but workspaces aside, so that the sandbox begins with nothing.
    async fn put_aside(self: &Arc<Self>, record: &Record, new: &str) -> Result<(), Problem> {
        let kept = [folder_of(record), new.to_owned(), ASIDE.to_owned()];
        self.in_layers(record, move |layers| {
            let aside = layers.join(ASIDE);
            let moved = fs::create_dir_all(&aside).and_then(|()| {
                others(layers, &kept)?
                    .into_iter()
                    .try_for_each(|name| fs::rename(layers.join(&name), aside.join(&name)))
            });
            moved.map_err(|e| unmovable(layers, &e))
        })
        .await
    }

    /// Works in the folder of an environment's layers, on a thread that may wait.
    async fn in_layers(
        self: &Arc<Self>,
        record: &Record,
        work: impl FnOnce(&Path) -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        let (this, id, limits) = (self.clone(), record.id, record.options.resources.clone());
        let done = tokio::task::spawn_blocking(move || {
            let layers = this.sandboxes.layers(id, &limits)?;
            work(&layers)
        });
        done.await.map_err(|e| broken(&e))?
    }

    /// Writes a record down.
    pub(crate) async fn write_down(&self, record: &Record) -> Result<(), Problem> {
        record.save(&self.folder(record.id))?;
        store::environment_changed(&self.store, record).await
    }
}

/// The name of an environment's workspace among its layers.
fn folder_of(record: &Record) -> String {
    let name = record.workspace.layer_dir().file_name();
    name.map_or_else(|| WORKSPACE.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn is_other_workspace(name: &str, own: &str) -> bool {
    name.starts_with(WORKSPACE) && name != own
}

/// What is among layers besides these.
fn others(layers: &Path, kept: &[String]) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(layers)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "lost+found" && !kept.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove_others(layers: &Path, kept: &[String]) -> Result<(), Problem> {
    for name in others(layers, kept).map_err(|e| unmovable(layers, &e))? {
        let path = layers.join(name);
        if path.is_dir() && !path.is_symlink() {
            atelier_environment::remove_layers(&path)?;
        } else {
            fs::remove_file(&path).map_err(|e| unmovable(&path, &e))?;
        }
    }
    Ok(())
}

/// Moves back what lies aside.
fn take_back(layers: &Path) -> io::Result<()> {
    let aside = layers.join(ASIDE);
    if !aside.is_dir() {
        return Ok(());
    }
    for name in others(&aside, &[])? {
        fs::rename(aside.join(&name), layers.join(&name))?;
    }
    fs::remove_dir(aside)
}

fn unmovable(path: &Path, error: &io::Error) -> Problem {
    let detail = format!("files can't be moved in {}: {error}", path.display());
    Problem::new("env.files", ExitCode::Failed, detail)
        .hint("what was there before is brought back with 'atelier doctor --fix'")
}
