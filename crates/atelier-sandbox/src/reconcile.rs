//! Brings the table and the machine together: at start, and when the doctor is asked to mend.

use std::collections::HashSet;
use std::fs;

use atelier_launch::Instance;
use uuid::Uuid;

use crate::cgroup::{Cgroup, Cgroups};
use crate::spec::Folders;
use crate::{SandboxError, Sandboxes, disk, process, store};

/// What was found and put right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Sandboxes that run and were taken up again.
    pub adopted: usize,
    /// Rows, processes, control groups and mounts that nothing stood behind, a sentence each.
    pub mended: Vec<String>,
}

impl Sandboxes {
    /// Takes up the sandboxes that run, and removes what is left of those that don't. `wanted` are
    /// the sandboxes that may exist; others are ended.
    ///
    /// # Errors
    /// When the table can't be read or written.
    pub async fn reconcile(&self, wanted: &HashSet<Uuid>) -> Result<Reconciled, SandboxError> {
        let mut report = Reconciled::default();
        let wanted = &(wanted | &self.standalone());
        for row in store::sandbox_list(&self.store).await? {
            match row.running {
                _ if self.is_changing(row.id) => {}
                Some(running) if running.instance.is_alive() && wanted.contains(&row.id) => {
                    if self.live(row.id).is_none() {
                        match self.adopt(row.id, &row.runtime, running) {
                            Ok(_) => report.adopted += 1,
                            Err(error) => tracing::error!(%error, id = %row.id, "not taken up"),
                        }
                    }
                }
                _ => {
                    self.end_stray(row.id, &mut report).await;
                    store::sandbox_gone(&self.store, row.id).await?;
                }
            }
        }
        self.end_unlisted(wanted, &mut report).await;
        self.remove_empty_groups(&mut report);
        Ok(report)
    }

    /// Ends sandboxes that have a folder, and a process, but no row: the control plane was killed
    /// between the launch and the note of it.
    async fn end_unlisted(&self, wanted: &HashSet<Uuid>, report: &mut Reconciled) {
        for entry in fs::read_dir(&self.places.sandboxes).into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|n| n.parse::<Uuid>().ok()) else {
                continue;
            };
            if self.live(id).is_none() && !self.is_changing(id) {
                self.end_stray(id, report).await;
                if !wanted.contains(&id)
                    && let Err(error) = disk::unmount(&entry.path())
                {
                    tracing::warn!(%error, %id, "a stray disk could not be unmounted");
                }
            }
        }
    }

    async fn end_stray(&self, id: Uuid, report: &mut Reconciled) {
        let folders = self.folders(id);
        if let Ok(Some(stray)) = Instance::load(folders.root())
            && stray.is_alive()
        {
            let group =
                self.cgroups.existing().into_iter().find(|(name, _)| *name == id.to_string());
            let group = group.map(|(_, group)| group).unwrap_or_default();
            match process::end(&stray, &group) {
                Ok(()) => report.mended.push(format!("ended a stray sandbox {id}")),
                Err(error) => tracing::error!(%error, %id, "a stray sandbox can't be ended"),
            }
        }
        remove_traces(&folders, None, &self.cgroups).await;
    }

    fn remove_empty_groups(&self, report: &mut Reconciled) {
        for (id, group) in self.cgroups.existing() {
            let in_use = |id| self.live(id).is_some() || self.is_changing(id);
            if !id.parse().is_ok_and(in_use) && group.remove().is_ok() {
                report.mended.push(format!("removed a stray control group {id}"));
            }
        }
    }
}

/// Removes what a sandbox that ended leaves outside its layers.
pub(crate) async fn remove_traces(folders: &Folders, group: Option<Cgroup>, cgroups: &Cgroups) {
    for file in [folders.socket(), folders.root().join("pid")] {
        let _ = fs::remove_file(file);
    }
    let name = folders.root().file_name().map(|n| n.to_string_lossy().into_owned());
    let group = group.or_else(|| {
        let name = name?;
        cgroups.existing().into_iter().find(|(id, _)| *id == name).map(|(_, group)| group)
    });
    let Some(group) = group else { return };
    let removed = tokio::task::spawn_blocking(move || group.remove()).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, "a control group stays behind for the next start");
    }
}
