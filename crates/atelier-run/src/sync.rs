//! `env.sync`: what changed in the project, brought into an environment while its commands go on.

use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::env::{EnvSyncInput, Prefer, Synced};
use atelier_environment::{Config, SyncOptions};
use serde_json::json;

use crate::error::broken;
use crate::recipe::Plan;
use crate::record::Record;
use crate::store;
use crate::tree::Tree;
use crate::workshop::Workshop;

/// The journal's word for it.
const KIND: &str = "env.sync";

impl Workshop {
    /// Brings what changed in the project into the environment.
    ///
    /// # Errors
    /// `sync.conflict` when both changed the same places; then nothing is touched.
    pub async fn sync(self: &Arc<Self>, input: EnvSyncInput) -> Result<Synced, Problem> {
        let project = self.project(&input.project).await?;
        let _guard = self.lock(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let _at_work = self.at_work(record.id);
        let ran = self.sandboxes.live(record.id).is_some();
        let job = self.store.journal().begin(KIND, &record.id.to_string(), &record.label()).await?;
        let done = self.sync_record(&record, &input).await;
        if !ran {
            self.sandboxes.stop(record.id).await?;
        }
        match done {
            Ok(done) => {
                job.done().await?;
                if !input.dry_run && !done.files.is_empty() {
                    let what = json!({ "files": done.files.len() });
                    self.events.publish("env.synced", record.label(), what);
                }
                Ok(done)
            }
            Err(problem) => {
                job.failed(&problem.detail).await?;
                Err(problem)
            }
        }
    }

    async fn sync_record(
        self: &Arc<Self>,
        record: &Record,
        input: &EnvSyncInput,
    ) -> Result<Synced, Problem> {
        let record = self.mend_sync(record.clone()).await?.0;
        let tree = self.tree(&record).await?;
        let base = self.bases.read().await;
        let config = Config::load(&record.project.root)?;
        let recipe = self.recipe(&Plan::of(&record, &config))?;
        let options = SyncOptions {
            prefer: input.prefer.map(|side| match side {
                Prefer::Project => atelier_environment::Prefer::Project,
                Prefer::Environment => atelier_environment::Prefer::Environment,
            }),
            dry_run: input.dry_run,
        };
        let home = self.home.clone();
        let (done, tree) = self
            .with_layers(record.clone(), move |record| {
                let (workspace, project) = (&record.workspace, &record.project);
                let at = tree.path();
                let done =
                    atelier_environment::sync(workspace, project, &home, &recipe, at, options)?;
                Ok((done, tree))
            })
            .await?;
        if let Some(synced) = done.synced.clone() {
            self.note_synced(record, synced, tree).await?;
        }
        drop(base);
        self.collect_bases().await?;
        Ok(told(done))
    }

    /// Notes what an environment stands on now, and lets go of what that replaced.
    async fn note_synced(
        self: &Arc<Self>,
        mut record: Record,
        synced: atelier_environment::Synced,
        tree: Tree,
    ) -> Result<Record, Problem> {
        record.workspace.synced = Some(synced);
        record.save(&self.folder(record.id))?;
        store::environment_changed(&self.store, &record).await?;
        let workspace = record.workspace.clone();
        let settled = tokio::task::spawn_blocking(move || {
            atelier_environment::settle_sync(&workspace, tree.path())
        });
        settled.await.map_err(|e| broken(&e))??;
        Ok(record)
    }

    /// Finishes a sync that a kill interrupted, or takes it back. Says whether there was one.
    pub(crate) async fn mend_sync(
        self: &Arc<Self>,
        record: Record,
    ) -> Result<(Record, bool), Problem> {
        if !atelier_environment::is_half_synced(&record.workspace) {
            return Ok((record, false));
        }
        let tree = self.tree(&record).await?;
        let workspace = record.workspace.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = atelier_environment::recover_sync(&workspace, tree.path());
            found.map(|found| (found, tree))
        });
        match looked.await.map_err(|e| broken(&e))?? {
            (Some(synced), tree) => Ok((self.note_synced(record, synced, tree).await?, true)),
            (None, _) => Ok((record, true)),
        }
    }
}

fn told(done: atelier_environment::Sync) -> Synced {
    let mut notes: Vec<String> =
        done.skipped.iter().map(|s| format!("{} was left out: {}", s.path, s.why)).collect();
    if done.kept > 0 {
        notes.push(format!(
            "{} changed on both sides stay as they are in the environment",
            done.kept
        ));
    }
    Synced { files: done.changed, merged: done.merged, notes }
}
