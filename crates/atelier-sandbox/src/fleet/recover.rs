//! After a start of the control plane: what a kill interrupted is taken back or finished, and what runs
//! is taken up again.

use atelier_api::Problem;
use atelier_api::sandbox::SandboxState;

use super::record::Record;
use super::{Fleet, store};

impl Fleet {
    /// Brings the records and what runs together, after [`crate::Sandboxes::reconcile`] has found
    /// what runs. Gives what was put right, a sentence each.
    ///
    /// # Errors
    /// When the database can't be read or written.
    pub async fn recover(&self) -> Result<Vec<String>, Problem> {
        let mut mended = Vec::new();
        for entry in self.all() {
            let Ok(_change) = entry.change.try_lock() else { continue };
            let record = entry.record();
            match record.state {
                SandboxState::Creating | SandboxState::Removing => {
                    self.discard(&entry).await?;
                    mended.push(format!("took back the sandbox {}", record.label()));
                }
                SandboxState::Running | SandboxState::Paused if self.live(entry.id).is_none() => {
                    let note = "it did not run any more when the control plane started";
                    self.write(&entry, |record| {
                        record.state = SandboxState::Stopped;
                        record.notes.push(note.into());
                    })
                    .await?;
                }
                SandboxState::Running => self.go_on(&record).await,
                _ => {}
            }
        }
        mended.extend(self.stray_states().await?);
        mended.extend(self.recover_volumes().await?);
        Ok(mended)
    }

    /// One that was being copied when the control plane was killed may stand still. One that does not
    /// is not disturbed.
    async fn go_on(&self, record: &Record) {
        let (Ok(runtime), Some(live)) = (self.runtime(record), self.live(record.id)) else {
            return;
        };
        if !runtime.capabilities().layered {
            return;
        }
        let resume = async |target: crate::Target<'_>| Ok(runtime.resume(target).await?);
        if let Err(problem) = self.with_target(record, &live, resume).await {
            tracing::info!(sandbox = %record.public_id(), why = problem.detail, "it may stand still");
        }
    }

    /// Folders of states that no snapshot and no sandbox has any more.
    async fn stray_states(&self) -> Result<Vec<String>, Problem> {
        let rows = store::snapshots(&self.store).await?;
        let mut known: Vec<_> = rows.into_iter().filter_map(|row| row.state).collect();
        known.extend(self.all().iter().filter_map(|entry| entry.record().resume_from));
        let mut mended = Vec::new();
        for folder in std::fs::read_dir(&self.snapshots).into_iter().flatten().flatten() {
            if !known.contains(&folder.path()) && std::fs::remove_dir_all(folder.path()).is_ok() {
                mended.push(format!(
                    "removed the half-made snapshot {}",
                    folder.file_name().display()
                ));
            }
        }
        Ok(mended)
    }
}
