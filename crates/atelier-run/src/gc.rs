//! `system.gc`: environments that are old, whose work has arrived, or whose space is needed; and leftovers. Never one
//! that is in use, and none with changes that were not applied unless that is said.

use std::sync::Arc;

use atelier_api::gc::{Free, GcEnvironment, GcInput, GcKept, GcReport};
use atelier_api::system::Verdict;
use atelier_api::{HostPath, Problem};
use jiff::{SignedDuration, Timestamp};

use crate::error::broken;
use crate::record::Record;
use crate::store;
use crate::workshop::Workshop;

/// An environment that may go.
struct Candidate {
    record: Record,
    last_used: Timestamp,
    reason: String,
    /// It goes only as long as the disk is too full.
    for_space: bool,
}

/// Why one stays.
enum Stays {
    InUse(String),
    Unapplied(usize),
}

impl Workshop {
    /// Removes what is old, or says what would go.
    ///
    /// # Errors
    /// What keeps something from being removed; what went until then is gone.
    pub async fn gc(self: &Arc<Self>, input: GcInput) -> Result<GcReport, Problem> {
        let mut report = GcReport {
            environments: Vec::new(),
            kept: Vec::new(),
            leftovers: Vec::new(),
            freed_bytes: 0,
        };
        for candidate in self.candidates(&input).await? {
            if candidate.for_space && self.is_enough(&input, &report)? {
                continue;
            }
            self.judge(candidate, &input, &mut report).await?;
        }
        report.leftovers = if input.dry_run {
            let found = self.leftovers().await?;
            let mut said = self.stray_services(true).await;
            said.extend((found.verdict != Verdict::Ok).then_some(found.detail));
            said
        } else {
            let mut said = self.reconcile().await?;
            said.extend(self.stray_services(false).await);
            said
        };
        Ok(report)
    }

    /// Environments for whose going there is a reason, those that were used longest ago first.
    async fn candidates(self: &Arc<Self>, input: &GcInput) -> Result<Vec<Candidate>, Problem> {
        let mut found = Vec::new();
        let oldest = input.older_than.map(|seconds| {
            let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            Timestamp::now().checked_sub(span).unwrap_or(Timestamp::MIN)
        });
        for record in self.whole().await? {
            let last_used = self.last_used(&record).await?;
            let reason = if oldest.is_some_and(|oldest| last_used <= oldest) {
                Some("nobody used it for long".to_owned())
            } else if input.merged {
                self.arrived(&record).await?
            } else {
                None
            };
            let for_space = reason.is_none();
            let reason = reason.or(input.free.map(|_| "its space is needed".to_owned()));
            if let Some(reason) = reason {
                found.push(Candidate { record, last_used, reason, for_space });
            }
        }
        // What goes in any case may free enough for the others to stay.
        found.sort_by_key(|candidate| (candidate.for_space, candidate.last_used));
        Ok(found)
    }

    async fn whole(&self) -> Result<Vec<Record>, Problem> {
        let rows = store::environment_list(&self.store, None).await?;
        let busy = self.busy();
        let whole = rows.into_iter().filter(|row| row.state == "ready" && !busy.contains(&row.id));
        Ok(whole.filter_map(|row| row.record).collect())
    }

    async fn last_used(&self, record: &Record) -> Result<Timestamp, Problem> {
        let runs = store::run_list(&self.store, record.id, 1).await?;
        let live = self.sandboxes.live(record.id).and_then(|live| {
            let idle = SignedDuration::try_from(live.idle()).ok()?;
            Timestamp::now().checked_sub(idle).ok()
        });
        let ran = runs.last().map(|run| run.started_at);
        Ok([Some(record.created_at), ran, live].into_iter().flatten().max().unwrap_or_default())
    }

    async fn arrived(self: &Arc<Self>, record: &Record) -> Result<Option<String>, Problem> {
        let looked = self.with_layers(record.clone(), |record| {
            let (workspace, project) = (&record.workspace, &record.project);
            Ok(atelier_environment::arrived(workspace, project, record.name.as_str())?)
        });
        // A repository that can't be asked says nothing.
        Ok(looked.await.unwrap_or_else(|problem| {
            tracing::warn!(env = record.label(), %problem, "its branch can't be looked at");
            None
        }))
    }

    /// Whether so much of the disk is free as was asked for.
    fn is_enough(&self, input: &GcInput, report: &GcReport) -> Result<bool, Problem> {
        let Some(wanted) = input.free else { return Ok(false) };
        let (free, total) = disk(self.home.root())?;
        let gone = if input.dry_run { report.freed_bytes } else { 0 };
        Ok(free.saturating_add(gone) >= bytes(wanted, total))
    }

    async fn judge(
        self: &Arc<Self>,
        candidate: Candidate,
        input: &GcInput,
        report: &mut GcReport,
    ) -> Result<(), Problem> {
        let Candidate { record, last_used, reason, .. } = candidate;
        let _guard = self.lock(&record.project, &record.name).await;
        let (name, project) = (record.name.clone(), record.project.name.to_string());
        if let Some(stays) = self.stays(&record, input.force).await? {
            let why = match stays {
                Stays::InUse(how) => how,
                Stays::Unapplied(1) => "1 change was not applied".to_owned(),
                Stays::Unapplied(n) => format!("{n} changes were not applied"),
            };
            report.kept.push(GcKept { name, project, reason, why });
            return Ok(());
        }
        let folder = self.sandboxes.folders(record.id).root().to_owned();
        let used = tokio::task::spawn_blocking(move || atelier_files::disk_usage(&folder));
        let mut disk_bytes = used.await.map_err(|e| broken(&e))?.unwrap_or_default();
        if !input.dry_run {
            disk_bytes = self.remove_record(&record).await?.freed_bytes;
        }
        report.freed_bytes += disk_bytes;
        let root = HostPath(record.project.root);
        report.environments.push(GcEnvironment {
            name,
            project,
            root,
            reason,
            last_used,
            disk_bytes,
        });
        Ok(())
    }

    async fn stays(
        self: &Arc<Self>,
        record: &Record,
        force: bool,
    ) -> Result<Option<Stays>, Problem> {
        let running = self.sandboxes.live(record.id).is_some_and(|live| live.has_processes());
        if running {
            return Ok(Some(Stays::InUse("commands run in it".to_owned())));
        }
        if self.services_wanted(record.id).await?.is_some() {
            return Ok(Some(Stays::InUse("its services are up".to_owned())));
        }
        if force {
            return Ok(None);
        }
        // What can't be looked at may be worth something.
        let changes = match self.unapplied_of(record.clone()).await {
            Ok(changes) => changes.len(),
            Err(problem) => return Ok(Some(Stays::InUse(problem.detail))),
        };
        Ok((changes > 0).then_some(Stays::Unapplied(changes)))
    }
}

/// Free bytes of the disk that a folder is on, and all of them.
fn disk(folder: &std::path::Path) -> Result<(u64, u64), Problem> {
    let stat = nix::sys::statvfs::statvfs(folder).map_err(|e| {
        let detail = format!("the disk of {} can't be looked at: {e}", folder.display());
        Problem::new("home.unusable", atelier_api::ExitCode::Configuration, detail)
    })?;
    let unit = stat.fragment_size();
    Ok((unit.saturating_mul(stat.blocks_available()), unit.saturating_mul(stat.blocks())))
}

fn bytes(wanted: Free, total: u64) -> u64 {
    match wanted {
        Free::Percent(percent) => total / 100 * u64::from(percent),
        Free::Bytes(bytes) => bytes,
    }
}
