//! Snapshots, restore and fork: copies of a sandbox's files and, where the runtime can, of its
//! processes.

use std::path::{Path, PathBuf};

use atelier_api::sandbox::{
    Sandbox, SandboxDetail, SandboxForkInput, SandboxRestoreInput, SandboxSnapshotInput,
    SandboxState, Snapshot, SnapshotListInput, SnapshotRef,
};
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Problem};
use atelier_image::ImageChange;
use jiff::Timestamp;
use uuid::Uuid;

use super::record::Record;
use super::store::SnapshotRow;
use super::{Entry, Fleet, broken, store};
use crate::error::UNSAVABLE;
use crate::{Live, Root, SandboxError};

/// How many copies one call makes at most.
const MOST_COPIES: u32 = 100;

/// What a copy starts from.
struct Frozen {
    root: Root,
    state: Option<PathBuf>,
    memory: bool,
    /// Whether the root is an image of this moment's files.
    layered: bool,
}

impl Fleet {
    /// Saves a sandbox's state; the sandbox goes on.
    ///
    /// # Errors
    /// When memory is asked for and the runtime can't keep it, or the disk is full.
    pub async fn snapshot(&self, input: SandboxSnapshotInput) -> Result<Snapshot, Problem> {
        if let Some(name) = &input.name {
            super::template::check_name(name)?;
        }
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let _change = entry.change.lock().await;
            let record = entry.record();
            let frozen = fleet.freeze(&entry, input.memory).await?;
            let row = fleet.snapshot_of(&record, frozen, input.name).await?;
            Ok(row.view)
        })
        .await
    }

    async fn snapshot_of(
        &self,
        record: &Record,
        frozen: Frozen,
        name: Option<String>,
    ) -> Result<SnapshotRow, Problem> {
        let row = SnapshotRow {
            view: Snapshot {
                id: format!("snap-{}", Uuid::new_v4().simple()),
                name: name.clone(),
                sandbox: record.public_id(),
                runtime: record.runtime.clone(),
                memory: frozen.memory,
                created_at: Timestamp::now(),
                size_bytes: self.size(&frozen),
            },
            root: frozen.root,
            state: frozen.state,
            options: record.options.clone(),
            origin: record.origin.clone(),
            start: record.start.clone(),
            ready: record.ready.clone(),
        };
        for mut older in store::snapshots(&self.store).await? {
            if name.is_some() && older.view.name == name {
                older.view.name = None;
                store::save_snapshot(&self.store, &older).await?;
            }
        }
        store::save_snapshot(&self.store, &row).await?;
        Ok(row)
    }

    /// Keeps what the sandbox is at this moment. It goes on afterwards if it ran.
    async fn freeze(&self, entry: &Entry, memory: Option<bool>) -> Result<Frozen, Problem> {
        let record = entry.record();
        let runtime = self.runtime(&record)?;
        let can = runtime.capabilities();
        let live = self.live(entry.id);
        let asked = memory;
        let memory = match (memory, live.is_some() && can.memory_snapshots) {
            (Some(true), false) => {
                let why = if live.is_some() { Some(runtime.why_no_memory().await) } else { None };
                return Err(no_memory(&record, why));
            }
            (asked, can) => asked.unwrap_or(can),
        };
        let paused = record.state == SandboxState::Paused;
        if let (Some(live), false, false) = (&live, memory, paused) {
            self.write_out(&record, live).await;
        }
        if let (Some(live), false) = (&live, paused) {
            let pause = async |target: crate::Target<'_>| Ok(runtime.pause(target).await?);
            self.with_target(&record, live, pause).await?;
        }
        let mut kept = if can.layered && !memory {
            self.freeze_layer(&record).await
        } else {
            self.freeze_state(&record, live.as_ref(), memory).await
        };
        if let (Err(problem), true, None) = (&kept, can.layered, asked)
            && problem.code == UNSAVABLE
        {
            // Nobody insists on processes. What was kept says whether it has them.
            tracing::info!(sandbox = %record.public_id(), why = problem.detail, "files alone are kept");
            kept = self.freeze_layer(&record).await;
        }
        if let (Some(live), false) = (&live, paused) {
            let resume = async |target: crate::Target<'_>| Ok(runtime.resume(target).await?);
            self.with_target(&record, live, resume).await?;
        }
        kept
    }

    /// Its changes become a layer over its image.
    async fn freeze_layer(&self, record: &Record) -> Result<Frozen, Problem> {
        let image = self.commit_layer(record, |_| ()).await?;
        Ok(Frozen { root: Root::Image(image), state: None, memory: false, layered: true })
    }

    /// Makes a nameless image of what the sandbox changed; gives its id.
    pub(super) async fn commit_layer(
        &self,
        record: &Record,
        change: impl FnOnce(&mut ImageChange),
    ) -> Result<String, Problem> {
        let Root::Image(parent) = &record.root else {
            return Err(SandboxError::Unsupported {
                runtime: "host",
                what: "make copies of its sandboxes, since this machine's files go on changing",
                remedy: "use a sandbox of the runtime oci, gvisor, qemu or firecracker".into(),
            }
            .into());
        };
        let parent = self.image_store().get(parent)?;
        let changes = super::layer::changed(record, &parent, change);
        let upper = self.sandboxes.folders(record.id).upper(&record.options.resources);
        let image = self.image_store().commit(&parent.id, &upper, changes, false).await?;
        Ok(image.id.to_string())
    }

    async fn freeze_state(
        &self,
        record: &Record,
        live: Option<&Live>,
        memory: bool,
    ) -> Result<Frozen, Problem> {
        let folder = self.snapshots.join(Uuid::new_v4().simple().to_string());
        let making = folder.with_extension("new");
        std::fs::create_dir_all(&making).map_err(SandboxError::io("making", &making))?;
        let (spec, folders) = (record.spec(), self.sandboxes.folders(record.id));
        let running = live.map(|live| &live.running);
        let target = crate::Target { spec: &spec, folders: &folders, running };
        let runtime = self.runtime(record)?;
        let kept = async {
            runtime.save(target, &making, memory).await?;
            let layered = runtime.capabilities().layered;
            // Its files are of the same moment, since it still stands still.
            let root = match layered {
                true => Root::Image(self.commit_layer(record, |_| ()).await?),
                false => record.root.clone(),
            };
            std::fs::rename(&making, &folder).map_err(SandboxError::io("naming", &folder))?;
            Ok(Frozen { root, state: Some(folder), memory, layered })
        };
        let kept: Result<Frozen, Problem> = kept.await;
        if kept.is_err() {
            let _ = std::fs::remove_dir_all(&making);
        }
        kept
    }

    fn size(&self, frozen: &Frozen) -> u64 {
        let state = frozen.state.as_deref().map_or(0, super::metrics::disk_usage);
        let layer = match &frozen.root {
            // A machine's files are in its state, and its image is as it was.
            Root::Image(id) if frozen.layered => self
                .image_store()
                .get(id)
                .ok()
                .and_then(|image| self.image_store().layer_dirs(&image).into_iter().next())
                .map_or(0, |layer| super::metrics::disk_usage(&layer)),
            _ => 0,
        };
        state + layer
    }

    /// Takes a sandbox back to a snapshot; what it did since is lost.
    ///
    /// # Errors
    /// When the snapshot is of another runtime, or the sandbox can't be started from it.
    pub async fn restore(&self, input: SandboxRestoreInput) -> Result<Sandbox, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let row = fleet.snapshot_row(&input.snapshot).await?;
            let row = row.ok_or_else(|| no_snapshot(&input.snapshot))?;
            let _change = entry.change.lock().await;
            let record = entry.record();
            if row.view.runtime != record.runtime {
                return Err(Problem::new(
                    "sandbox.wrong_source",
                    ExitCode::Usage,
                    format!("the snapshot is of the runtime {}", row.view.runtime),
                ));
            }
            // Stopped first: a kill in between leaves a stopped sandbox whose old files are gone,
            // and that starts from the snapshot.
            fleet.sandboxes.release(entry.id).await?;
            let old = record.root.clone();
            fleet
                .write(&entry, |record| {
                    record.state = SandboxState::Stopped;
                    record.root = row.root.clone();
                    record.resume_from = row.state.clone();
                    record.token_of = row.view.sandbox.parse().ok();
                    record.origin.snapshot = Some(row.view.id.clone());
                })
                .await?;
            fleet.forget_changes(&record).await?;
            fleet.drop_unnamed(&old).await;
            fleet.bring_up(&entry).await?;
            fleet.announce(entry.id, "restored");
            Ok(fleet.view(&entry.record()))
        })
        .await
    }

    /// Removes what the sandbox changed, when nothing of it runs.
    async fn forget_changes(&self, record: &Record) -> Result<(), Problem> {
        let folder = self.sandboxes.folders(record.id).root().to_owned();
        let gone = folder.clone();
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&gone));
        match removed.await.map_err(|e| broken(&e))? {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(SandboxError::io("removing", folder)(e).into())
            }
            _ => Ok(()),
        }
    }

    /// Makes copies of a sandbox as it is now, and starts them.
    ///
    /// # Errors
    /// When it can't be copied, or a copy can't be started; copies made before stay.
    pub async fn fork(&self, input: SandboxForkInput) -> Result<Vec<SandboxDetail>, Problem> {
        if !(1..=MOST_COPIES).contains(&input.count) {
            return Err(Problem::new(
                "sandbox.fork_count",
                ExitCode::Usage,
                format!("{} copies can't be made at once", input.count),
            )
            .hint(format!("ask for 1 to {MOST_COPIES}")));
        }
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let (record, frozen) = {
                let _change = entry.change.lock().await;
                (entry.record(), fleet.freeze(&entry, None).await?)
            };
            let copies = (0..input.count).map(|_| copy_of(&record, &frozen, input.timeout));
            let making = copies.map(|copy| {
                let fleet = fleet.clone();
                tokio::spawn(async move { fleet.make(copy).await })
            });
            let making: Vec<_> = making.collect();
            let mut made = Vec::with_capacity(making.len());
            let mut failed = None;
            for copy in making {
                match copy.await.unwrap_or_else(|e| Err(broken(&e))) {
                    Ok(entry) => made.push(fleet.detail(&entry.record())),
                    Err(problem) => failed = Some(problem),
                }
            }
            if let Some(state) = frozen.state {
                // Every copy has taken what it needs.
                let _ = tokio::task::spawn_blocking(|| std::fs::remove_dir_all(state)).await;
            }
            failed.map_or(Ok(made), Err)
        })
        .await
    }

    /// Lists snapshots, the newest first.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn snapshot_list(&self, input: SnapshotListInput) -> Result<Vec<Snapshot>, Problem> {
        let asked = input.sandbox.as_deref();
        let id = asked.map(|a| self.find(a).map_or(a.to_owned(), |e| e.record().public_id()));
        let rows = store::snapshots(&self.store).await?;
        let views = rows.into_iter().map(|row| row.view);
        Ok(views.filter(|view| id.as_ref().is_none_or(|id| *id == view.sandbox)).collect())
    }

    /// Removes a snapshot; sandboxes made from it stay.
    ///
    /// # Errors
    /// When there is none, or a sandbox still has to start from it.
    pub async fn snapshot_remove(&self, input: SnapshotRef) -> Result<Nothing, Problem> {
        let row = self.snapshot_row(&input.snapshot).await?;
        let row = row.ok_or_else(|| no_snapshot(&input.snapshot))?;
        store::forget_snapshot(&self.store, &row.view.id).await?;
        if let Some(state) = &row.state {
            let waiting = self.all().iter().any(|e| e.record().resume_from.as_ref() == Some(state));
            if !waiting {
                remove_folder(state).await;
            }
        }
        self.drop_unnamed(&row.root).await;
        Ok(Nothing {})
    }
}

async fn remove_folder(folder: &Path) {
    let (folder, shown) = (folder.to_owned(), folder.display().to_string());
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, folder = shown, "a snapshot's folder stays for the next start");
    }
}

fn copy_of(record: &Record, frozen: &Frozen, timeout: Option<u64>) -> Record {
    let mut copy = Record {
        id: Uuid::new_v4(),
        name: None,
        state: SandboxState::Creating,
        root: frozen.root.clone(),
        resume_from: frozen.state.clone(),
        token_of: Some(record.id),
        created_at: Timestamp::now(),
        start: record.start.clone().filter(|_| !frozen.memory),
        ready: record.ready.clone().filter(|_| !frozen.memory),
        notes: Vec::new(),
        ..record.clone()
    };
    copy.options.name = None;
    copy.options.timeout = timeout.or(record.options.timeout);
    copy.begin_time(copy.options.timeout);
    copy
}

fn no_snapshot(name: &str) -> Problem {
    let detail = format!("there is no snapshot {name:?}");
    Problem::new("snapshot.not_found", ExitCode::NotFound, detail)
        .hint("'atelier snapshot ls' lists those that there are")
}

fn no_memory(record: &Record, why: Option<String>) -> Problem {
    let runs = why.is_some();
    let why = why.unwrap_or_else(|| "nothing runs in it".to_owned());
    let problem = Problem::new(
        "sandbox.no_memory",
        ExitCode::Configuration,
        format!("a snapshot of {} with its memory can't be taken: {why}", record.label()),
    )
    .hint("take one of its files, or use a sandbox of the runtime qemu or firecracker");
    if runs {
        problem.hint("a pause keeps processes and memory as long as this machine runs")
    } else {
        problem
    }
}
