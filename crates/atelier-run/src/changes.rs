//! `env.diff` and `env.apply`: what an environment changed, and the way back into the project.

use std::sync::Arc;

use atelier_api::env::{
    Applied, Diff, EnvApplyInput, EnvDiffInput, EnvExportInput, EnvRef, Exported, FileChange,
    FileStatus, Unapplied,
};
use atelier_api::{HostPath, Problem};
use atelier_environment::{ApplyOptions, Change, DiffOptions, Skipped, Status};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::error::broken;
use crate::record::Record;
use crate::workshop::Workshop;

impl Workshop {
    /// What the environment changed against the project as it was when the environment was made.
    ///
    /// # Errors
    /// `env.not_found`, or what keeps its layers from being read.
    pub async fn diff(self: &Arc<Self>, input: EnvDiffInput) -> Result<Diff, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        self.with_layers(record, move |record| {
            let options = DiffOptions { all: input.all };
            let diff = atelier_environment::diff(&record.workspace, &record.project, options)?;
            let patch_base64 = if input.stat {
                None
            } else {
                let mut patch = Vec::new();
                diff.write_unified(&mut patch)?;
                Some(STANDARD.encode(patch))
            };
            Ok(Diff { files: diff.changes.iter().map(change).collect(), patch_base64 })
        })
        .await
    }

    /// Brings the changes back.
    ///
    /// # Errors
    /// `apply.conflict` when the project has changed in the same places; then nothing is touched.
    pub async fn apply(self: &Arc<Self>, input: EnvApplyInput) -> Result<Applied, Problem> {
        let project = self.project(&input.project).await?;
        let _guard = self.lock(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let (label, dry_run) = (record.label(), input.dry_run);
        let applied = self
            .with_layers(record, move |record| {
                let options = ApplyOptions {
                    branch: input.branch,
                    all: input.all,
                    message: input.message,
                    dry_run: input.dry_run,
                };
                let done =
                    atelier_environment::apply(&record.workspace, &record.project, &options)?;
                Ok(applied(done, options.branch.is_some()))
            })
            .await?;
        if !dry_run && !applied.files.is_empty() {
            self.events.publish("env.applied", label, json!({ "files": applied.files.len() }));
        }
        Ok(applied)
    }

    /// What would be lost with the environment.
    ///
    /// # Errors
    /// `env.not_found`, or what keeps its layers from being read.
    pub async fn unapplied(self: &Arc<Self>, input: EnvRef) -> Result<Unapplied, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        Ok(Unapplied { changes: self.unapplied_of(record).await? })
    }

    /// The same for an environment that is at hand.
    pub(crate) async fn unapplied_of(
        self: &Arc<Self>,
        record: Record,
    ) -> Result<Vec<String>, Problem> {
        self.with_layers(record, |record| {
            Ok(atelier_environment::unapplied(&record.workspace, &record.project)?)
        })
        .await
    }

    /// Writes the changes where another machine can fetch them.
    ///
    /// # Errors
    /// `env.not_found`, or what keeps the layers from being read or the folder from being written.
    pub async fn export(self: &Arc<Self>, input: EnvExportInput) -> Result<Exported, Problem> {
        let project = self.project(&input.project).await?;
        let _guard = self.lock(&project, &input.env).await;
        let record = self.get(&input.project, &input.env).await?;
        let id = record.id.to_string();
        let folder = self.home.environments().join(&id).join("export");
        self.with_layers(record, move |record| {
            let options = DiffOptions { all: input.all };
            let skipped =
                atelier_environment::export(&record.workspace, &record.project, options, &folder)?;
            Ok(Exported { id, folder: HostPath(folder), notes: left_out(&skipped) })
        })
        .await
    }

    /// Reads an environment's layers on a thread that may wait for the disk.
    pub(crate) async fn with_layers<T: Send + 'static>(
        self: &Arc<Self>,
        record: Record,
        work: impl FnOnce(Record) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Layers on a limited disk can be read only while it is mounted.
            this.sandboxes.layers(record.id, &record.options.resources)?;
            work(record)
        });
        done.await.map_err(|e| broken(&e))?
    }
}

fn change(change: &Change) -> FileChange {
    FileChange {
        path: HostPath(change.path.clone()),
        status: match change.status {
            Status::Added => FileStatus::Added,
            Status::Modified => FileStatus::Modified,
            Status::Deleted => FileStatus::Deleted,
            Status::Mode => FileStatus::Mode,
            Status::Type => FileStatus::Type,
        },
        insertions: change.insertions,
        deletions: change.deletions,
        binary: change.binary,
    }
}

fn left_out(skipped: &[Skipped]) -> Vec<String> {
    skipped.iter().map(|s| format!("{} was left out: {}", s.path, s.why)).collect()
}

/// What was brought back, as the API says it.
#[must_use]
pub fn applied(done: atelier_environment::Applied, to_branch: bool) -> Applied {
    let mut notes = left_out(&done.skipped);
    if done.changed.is_empty() {
        notes.push(match (done.unchanged, to_branch) {
            (0, true) => "there is nothing to commit, so no branch was made".into(),
            (0, false) => {
                "nothing is left to apply: what was applied before is not applied again, \
                           even where the project was changed since"
                    .into()
            }
            (already, _) => format!("the project has {already} of the changes already"),
        });
    }
    let commit = done.branch.map(|branch| {
        notes.extend(branch.whole_files.iter().map(|file| {
            format!("{file} also holds what was uncommitted when the environment was made")
        }));
        branch.commit
    });
    Applied { files: done.changed, merged: done.merged, commit, notes }
}
