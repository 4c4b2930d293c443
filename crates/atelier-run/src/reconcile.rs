//! After a start: what a kill interrupted is finished or taken back, and nothing stray stays.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::system::{Check, Verdict};
use atelier_config::Home;
use atelier_store::Store;
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;

use crate::record::Record;
use crate::store::{self, Identity};
use crate::workshop::Workshop;

impl Workshop {
    /// Brings the database and the machine together. Gives what was put right, a sentence each.
    ///
    /// # Errors
    /// When the database can't be read or written, or something stray can't be removed.
    pub async fn reconcile(self: &Arc<Self>) -> Result<Vec<String>, Problem> {
        let mut mended = Vec::new();
        let busy = self.busy();
        for row in store::environment_list(&self.store, None).await? {
            // Not whole, and nobody is at it: the control plane was killed in the middle.
            if row.state != "ready" && !busy.contains(&row.id) && self.take_back(row.id).await? {
                mended.push(format!("took back {}, left {}", row.name, row.state));
            }
        }
        let rows = store::environment_list(&self.store, None).await?;
        let wanted: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
        mended.extend(self.sandboxes.reconcile(&wanted).await?.mended);
        for id in self.strays(&wanted) {
            if self.take_back(id).await? {
                mended.push(format!("removed the folders of {id}, which is no environment"));
            }
        }
        for folder in [self.home.environments(), self.home.sandboxes()] {
            let left = atelier_environment::gc_leftovers(&folder)?.leftovers;
            if left > 0 {
                mended.push(format!("removed {left} half-deleted folders"));
            }
        }
        for record in rows.into_iter().filter_map(|row| row.record) {
            mended.extend(self.mend_files(record).await?);
        }
        let (finished, waiting) = self.finish_jobs().await?;
        mended.extend(finished);
        mended.extend(self.reconcile_services(&busy, &wanted).await);
        self.end_jobs(&busy, &waiting).await?;
        self.collect_bases().await?;
        Ok(mended)
    }

    /// Puts the files of an environment right that a kill left half changed, unless somebody is at it.
    async fn mend_files(self: &Arc<Self>, record: Record) -> Result<Vec<String>, Problem> {
        let Some(_alone) = self.try_lock(&record.project, &record.name) else {
            return Ok(Vec::new());
        };
        // As it is now that nobody else changes it.
        let Some(record) = self.record_of(record.id).await? else { return Ok(Vec::new()) };
        let (label, mut mended) = (record.label(), Vec::new());
        if atelier_environment::recover_apply(&record.workspace, &record.project)? {
            mended.push(format!("took back a half-done apply of {label}"));
        }
        let (record, half) = self.mend_sync(record).await?;
        if half {
            mended.push(format!("mended a half-done sync of {label}"));
        }
        if self.mend_renewal(record).await? {
            mended.push(format!("mended the half-done making anew of {label}"));
        }
        Ok(mended)
    }

    /// Takes away an environment that is not whole. One whose containers can't be reached now is left for
    /// the next time: everything else must start without the engine.
    async fn take_back(self: &Arc<Self>, id: Uuid) -> Result<bool, Problem> {
        match self.discard(id).await {
            Ok(_) => Ok(true),
            Err(problem) if problem.code.starts_with("engine.") => {
                tracing::warn!(%id, %problem, "left for when the container engine answers");
                Ok(false)
            }
            Err(problem) => Err(problem),
        }
    }

    /// What [`Workshop::reconcile`] would put right.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn leftovers(self: &Arc<Self>) -> Result<Check, Problem> {
        let rows = store::environment_list(&self.store, None).await?;
        let busy = self.busy();
        let broken = rows.iter().filter(|r| r.state != "ready" && !busy.contains(&r.id)).count();
        let wanted: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
        let strays = self.strays(&wanted).len();
        let clean = broken + strays == 0;
        Ok(Check {
            name: "leftovers".into(),
            verdict: if clean { Verdict::Ok } else { Verdict::Warning },
            detail: if clean {
                "nothing stray".into()
            } else {
                format!("{broken} environments that are not whole, {strays} stray folders")
            },
            remedy: (!clean).then(|| "run 'atelier doctor --fix'".into()),
            fixable: !clean,
        })
    }

    /// Folders named like environments that no row stands behind.
    fn strays(&self, wanted: &HashSet<Uuid>) -> HashSet<Uuid> {
        let mut busy = self.busy();
        busy.extend(self.sandboxes.standalone());
        [self.home.environments(), self.home.sandboxes()]
            .iter()
            .flat_map(|folder| ids(folder))
            .filter(|id| !wanted.contains(id) && !busy.contains(id))
            .collect()
    }

    async fn end_jobs(&self, busy: &HashSet<Uuid>, waiting: &HashSet<Uuid>) -> Result<(), Problem> {
        let journal = self.store.journal();
        for job in journal.unfinished().await? {
            let goes_on = job.subject.parse().is_ok_and(|id| busy.contains(&id));
            if !goes_on && !waiting.contains(&job.id) {
                journal.resume(&job).failed("the control plane ended in the middle").await?;
            }
        }
        journal.prune(Timestamp::now() - 720.hours()).await?;
        Ok(())
    }
}

fn ids(folder: &Path) -> Vec<Uuid> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Reads environments back from their folders into a new database; gives how many.
///
/// # Errors
/// When the database can't be written.
pub async fn restore(home: &Home, store: &Store) -> Result<usize, Problem> {
    let mut restored = 0;
    for id in ids(&home.environments()) {
        let Some(record) = Record::load(&home.environments().join(id.to_string())) else {
            continue;
        };
        let project_id = record.project.id();
        let identity = Identity {
            id,
            project_id: &project_id,
            project_name: record.project.name.as_str(),
            name: &record.name,
            root: atelier_api::HostPath(record.project.root.clone()).encode(),
        };
        if store::environment_claim(store, &identity).await? {
            store::environment_ready(store, &record).await?;
            restored += 1;
        }
    }
    Ok(restored)
}
