//! Jobs that a restart finishes, because what they had done can't be taken back.

use std::collections::HashSet;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_store::JobRow;
use uuid::Uuid;

use crate::services::renew;
use crate::workshop::Workshop;
use crate::{remove, store};

impl Workshop {
    /// Finishes what was interrupted. Gives what was done, a sentence each, and the jobs that have to wait
    /// until the container engine answers.
    pub(crate) async fn finish_jobs(
        self: &Arc<Self>,
    ) -> Result<(Vec<String>, HashSet<Uuid>), Problem> {
        let (mut mended, mut waiting) = (Vec::new(), HashSet::new());
        let jobs = self.store.journal().unfinished().await?;
        // Looked at afterwards: whoever is at a job that was listed says so before it begins.
        let busy = self.busy();
        for job in jobs {
            let Ok(id) = job.subject.parse::<Uuid>() else { continue };
            if busy.contains(&id) {
                continue;
            }
            match self.finish_job(&job, id).await {
                Ok(Some(done)) => {
                    self.store.journal().resume(&job).done().await?;
                    mended.push(done);
                }
                Ok(None) => {}
                Err(problem) => {
                    tracing::warn!(%id, kind = job.kind, %problem, "a job waits");
                    waiting.insert(job.id);
                }
            }
        }
        Ok((mended, waiting))
    }

    /// `None` when the job is none of ours.
    async fn finish_job(
        self: &Arc<Self>,
        job: &JobRow,
        id: Uuid,
    ) -> Result<Option<String>, Problem> {
        let row = store::environment_get(&self.store, id).await?;
        let Some(record) = row.and_then(|row| row.record) else { return Ok(None) };
        let done = match job.kind.as_str() {
            remove::CLEAR => {
                self.clear_services(id).await?;
                format!("took away the services of {}", record.label())
            }
            renew::KIND => {
                let label = record.label();
                self.resume_network(record, &job.payload).await?;
                format!("made the networks of {label} anew")
            }
            _ => return Ok(None),
        };
        Ok(Some(done))
    }
}
