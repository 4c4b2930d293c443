//! `env.remove` and `env.stop`, and the taking back of an environment that was never whole.

use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::env::{EnvRef, EnvRemoveInput, Environment, Removed};
use serde_json::json;
use uuid::Uuid;

use crate::error::{broken, busy, in_use};
use crate::record::Record;
use crate::services::hide_tree;
use crate::store;
use crate::workshop::Workshop;

/// The journal's word for it.
pub(crate) const KIND: &str = "env.remove";
/// The journal's word for a removal of all but the files.
pub(crate) const CLEAR: &str = "env.clear";

impl Workshop {
    /// Removes an environment with everything in it.
    ///
    /// # Errors
    /// `env.not_found`; `env.in_use` while commands run in it, unless forced.
    pub async fn remove(self: &Arc<Self>, input: EnvRemoveInput) -> Result<Removed, Problem> {
        let project = self.project(&input.project).await?;
        let _guard = self.lock(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        if !input.force {
            let running = self.commands(record.id).await;
            if !running.is_empty() {
                let lines = running.iter().map(|p| p.command.join(" ")).collect::<Vec<_>>();
                return Err(in_use(&record.name, &lines));
            }
        }
        if input.keep_workspace {
            return self.clear(&record).await;
        }
        self.remove_record(&record).await
    }

    /// Takes everything away but the files: the next command or `up` begins with fresh services.
    async fn clear(self: &Arc<Self>, record: &Record) -> Result<Removed, Problem> {
        let _at_work = self.at_work(record.id);
        let job =
            self.store.journal().begin(CLEAR, &record.id.to_string(), &record.label()).await?;
        if let Err(problem) = self.clear_services(record.id).await {
            job.failed(&problem.detail).await?;
            return Err(problem);
        }
        job.done().await?;
        self.events.publish("env.cleared", record.label(), json!({ "id": record.id }));
        Ok(Removed { freed_bytes: 0 })
    }

    /// Ends an environment's sandbox and takes away what it has in the engine. Repeatable: this is how a
    /// restart finishes what a kill interrupted.
    pub(crate) async fn clear_services(self: &Arc<Self>, id: Uuid) -> Result<(), Problem> {
        self.sandboxes.stop(id).await?;
        self.forget_services(id).await?;
        self.hide(id).await
    }

    /// Takes away the mount that shows a workspace outside.
    pub(crate) async fn hide(&self, id: Uuid) -> Result<(), Problem> {
        let root = self.sandboxes.folders(id).root().to_owned();
        let hidden = tokio::task::spawn_blocking(move || {
            hide_tree(&root).map_err(|e| unmountable(&root, &e))
        });
        hidden.await.map_err(|e| broken(&e))?
    }

    /// The same for a caller that holds the name's lock, whatever runs.
    pub(crate) async fn remove_record(
        self: &Arc<Self>,
        record: &Record,
    ) -> Result<Removed, Problem> {
        let _at_work = self.at_work(record.id);
        let job = self.store.journal().begin(KIND, &record.id.to_string(), &record.label()).await?;
        if !store::environment_removing(&self.store, record.id).await? {
            job.failed("somebody else removes it").await?;
            return Err(busy(&record.name, "being removed"));
        }
        let freed_bytes = self.discard(record.id).await?;
        job.done().await?;
        self.events.publish("env.removed", record.label(), json!({ "id": record.id }));
        self.collect_bases().await?;
        Ok(Removed { freed_bytes })
    }

    /// Takes away whatever there is of an environment; gives the bytes freed. Repeatable: this is
    /// how a restart finishes what a kill interrupted. The row goes last.
    pub(crate) async fn discard(self: &Arc<Self>, id: Uuid) -> Result<u64, Problem> {
        self.sandboxes.release(id).await?;
        self.forget_services(id).await?;
        let shown = self.sandboxes.folders(id).root().to_owned();
        let folders = [self.sandboxes.folders(id).root().to_owned(), self.folder(id)];
        let removed = tokio::task::spawn_blocking(move || {
            // What is mounted there must not be deleted through the mount.
            hide_tree(&shown).map_err(|e| unmountable(&shown, &e))?;
            folders
                .iter()
                .map(|f| Ok(atelier_environment::remove_layers(f)?))
                .sum::<Result<u64, Problem>>()
        });
        let freed = removed.await.map_err(|e| broken(&e))??;
        store::environment_gone(&self.store, id).await?;
        Ok(freed)
    }

    /// Removes frozen copies that no environment stands on, but keeps each project's newest.
    pub(crate) async fn collect_bases(self: &Arc<Self>) -> Result<(), Problem> {
        let _alone = self.bases.write().await;
        let rows = store::environment_list(&self.store, None).await?;
        let in_use: Vec<String> = rows
            .into_iter()
            .filter_map(|row| row.record)
            .flat_map(|r| r.workspace.bases().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let this = self.clone();
        let collected =
            tokio::task::spawn_blocking(move || atelier_environment::gc_bases(&this.home, &in_use));
        if let Err(error) = collected.await.map_err(|e| broken(&e))? {
            tracing::warn!(%error, "frozen copies that nobody uses stay behind");
        }
        Ok(())
    }

    /// Stops an environment's sandbox.
    ///
    /// # Errors
    /// `env.not_found`, or what keeps its processes from ending.
    pub async fn stop(self: &Arc<Self>, input: EnvRef) -> Result<Environment, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        self.sandboxes.stop(record.id).await?;
        self.events.publish("env.stopped", record.label(), json!({ "id": record.id }));
        self.view(&record).await
    }
}

fn unmountable(folder: &std::path::Path, error: &std::io::Error) -> Problem {
    let detail = format!("the mount in {} can't be taken away: {error}", folder.display());
    Problem::new("env.mounted", atelier_api::ExitCode::Engine, detail)
        .hint("nothing was deleted; try again, or see what is mounted there with 'findmnt'")
}
