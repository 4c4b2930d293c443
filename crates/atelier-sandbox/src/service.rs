//! The service: sandboxes that are running, started when needed, stopped, found again after a
//! restart. The processes are the truth; the table is what we intended.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use atelier_api::env::Resources;
use atelier_api::system::{Check, Verdict};
use atelier_guest::client::Guest;
use atelier_image::ImageStore;
use atelier_store::Store;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::cgroup::{Cgroups, LimitEvents};
use crate::runtime::{Runtime, StartRequest, runtimes};
use crate::spec::{Folders, Root};
use crate::{Running, SandboxError, SandboxSpec, disk, process, reconcile, store};

/// What a machine's monitor and network stack have beside the machine's own memory, in bytes.
const MONITOR_MEMORY: u64 = 256 << 20;

/// Every sandbox of one home.
#[derive(Debug)]
pub struct Sandboxes {
    pub(crate) places: Places,
    pub(crate) store: Store,
    pub(crate) cgroups: Cgroups,
    runtimes: Vec<Box<dyn Runtime>>,
    pub(crate) images: ImageStore,
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
    /// Sandboxes that belong to no environment.
    standalone: Mutex<HashSet<Uuid>>,
    ended: broadcast::Sender<End>,
    can_layer: OnceLock<bool>,
    /// Runtimes that work here, with what was looked at.
    probed: tokio::sync::Mutex<HashMap<String, Vec<Check>>>,
    this: Weak<Self>,
}

/// Where a home keeps what belongs to sandboxes.
#[derive(Debug, Clone)]
pub struct Places {
    /// The home folder, hidden inside every sandbox.
    pub home: PathBuf,
    /// A folder for each sandbox.
    pub sandboxes: PathBuf,
    /// Unpacked programs.
    pub bin: PathBuf,
    /// The name of this home's control groups.
    pub cgroup: String,
    /// CRIU, if it is not where programs are.
    pub criu: Option<PathBuf>,
}

/// One sandbox's place: starts and stops of it wait for each other, not for those of others.
#[derive(Debug, Default)]
struct Slot {
    change: tokio::sync::Mutex<()>,
    live: Mutex<Option<Live>>,
}

/// A sandbox that has ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Which.
    pub id: Uuid,
    /// Limits that it met while it ran.
    pub met: LimitEvents,
}

/// A sandbox that runs, and the way into it.
#[derive(Debug, Clone)]
pub struct Live {
    /// What runs.
    pub running: Running,
    /// The guest inside.
    pub guest: Guest,
    /// When somebody last used it.
    pub used: Arc<Mutex<Instant>>,
    /// Limits that had been met when it was found or started.
    pub met: LimitEvents,
    /// Whether it still runs.
    watch: Arc<process::Watch>,
}

impl Sandboxes {
    /// Opens the service: unpacks the guest and looks at this machine's control groups. Nothing is
    /// started or ended; that is [`Sandboxes::reconcile`].
    ///
    /// # Errors
    /// When the home can't be written.
    pub fn open(
        places: Places,
        store: Store,
        images: ImageStore,
    ) -> Result<Arc<Self>, SandboxError> {
        let runtimes = runtimes(&places.bin, &places.home, places.criu.as_deref())?;
        let cgroups = Cgroups::find(&places.cgroup);
        if let Cgroups::Absent { why, .. } = &cgroups {
            tracing::warn!(why, "no control groups: limits can't be enforced");
        }
        let (ended, _) = broadcast::channel(256);
        Ok(Arc::new_cyclic(|this| Self {
            places,
            store,
            cgroups,
            runtimes,
            images,
            slots: Mutex::default(),
            standalone: Mutex::default(),
            ended,
            can_layer: OnceLock::new(),
            probed: tokio::sync::Mutex::default(),
            this: this.clone(),
        }))
    }

    /// The runtime of that name.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRuntime`].
    pub fn runtime(&self, name: &str) -> Result<&dyn Runtime, SandboxError> {
        let found = self.runtimes.iter().find(|r| r.name() == name);
        found.map(AsRef::as_ref).ok_or_else(|| SandboxError::UnknownRuntime(name.to_owned()))
    }

    /// Every runtime that there is.
    #[must_use]
    pub fn runtimes(&self) -> &[Box<dyn Runtime>] {
        &self.runtimes
    }

    /// Where images lie.
    #[must_use]
    pub fn images(&self) -> &ImageStore {
        &self.images
    }

    /// From now on the sandbox belongs to no environment: nobody stops it for being idle or takes
    /// it for a stray.
    pub(crate) fn set_standalone(&self, id: Uuid, standalone: bool) {
        let mut all = self.standalone.lock().unwrap_or_else(PoisonError::into_inner);
        if standalone {
            all.insert(id)
        } else {
            all.remove(&id)
        };
    }

    /// The sandboxes that belong to no environment.
    #[must_use]
    pub fn standalone(&self) -> HashSet<Uuid> {
        self.standalone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a runtime says of this machine. A good answer is kept; a bad one is looked at again, one
    /// caller at a time, since trials get into each other's way.
    pub(crate) async fn probe_of(self: &Arc<Self>, name: &str) -> Result<Vec<Check>, SandboxError> {
        let mut known = self.probed.lock().await;
        if let Some(checks) = known.get(name) {
            return Ok(checks.clone());
        }
        let (this, asked) = (self.clone(), name.to_owned());
        let look = move || this.runtime(&asked).map(Runtime::probe);
        let checks = tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|e| Err(SandboxError::io("probing", "")(std::io::Error::other(e))))?;
        if checks.iter().all(|check| check.verdict != Verdict::Failed) {
            known.insert(name.to_owned(), checks.clone());
        }
        Ok(checks)
    }

    /// What every runtime says of this machine.
    #[must_use]
    pub fn probe(&self) -> Vec<Check> {
        self.runtimes.iter().flat_map(|runtime| runtime.examine()).collect()
    }

    /// Whether workspaces can be layered here: whether a sandbox can mount overlays. Tried once.
    #[must_use]
    pub fn can_layer(&self) -> bool {
        *self.can_layer.get_or_init(|| self.runtimes.iter().any(|r| r.mounts_overlays()))
    }

    /// Whether these limits can be enforced on this machine.
    ///
    /// # Errors
    /// [`SandboxError::Limit`] for the first that can't.
    pub fn check_limits(&self, limits: &Resources) -> Result<(), SandboxError> {
        if let Some(bytes) = limits.disk {
            disk::check(bytes)?;
        }
        self.cgroups.check(limits)
    }

    /// What stands in the way of limits on this machine, if something does.
    #[must_use]
    pub fn limits_missing(&self) -> Option<(&str, &str)> {
        match &self.cgroups {
            Cgroups::Absent { why, remedy } => Some((why, remedy)),
            _ => None,
        }
    }

    /// Sandboxes that end from now on, by themselves or by a stop.
    #[must_use]
    pub fn ended(&self) -> broadcast::Receiver<End> {
        self.ended.subscribe()
    }

    /// Where every sandbox has its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.places.sandboxes
    }

    /// The folders of a sandbox.
    #[must_use]
    pub fn folders(&self, id: Uuid) -> Folders {
        Folders::of(&self.places.sandboxes, id)
    }

    /// Makes the folder for the sandbox's layers, in a filesystem of limited size if a limit is
    /// set, and gives it. Repeatable.
    ///
    /// # Errors
    /// When it can't be made, or the limit can't be enforced here.
    pub fn layers(&self, id: Uuid, limits: &Resources) -> Result<PathBuf, SandboxError> {
        let folders = self.folders(id);
        let layers = folders.layers(limits);
        std::fs::create_dir_all(folders.root())
            .map_err(SandboxError::io("making", folders.root()))?;
        if let Some(bytes) = limits.disk {
            return disk::limited(folders.root(), bytes);
        }
        std::fs::create_dir_all(&layers).map_err(SandboxError::io("making", &layers))?;
        Ok(layers)
    }

    /// The sandbox as it runs, if it does.
    #[must_use]
    pub fn live(&self, id: Uuid) -> Option<Live> {
        let slot = self.slots().get(&id).cloned()?;
        let live = slot.live().clone();
        live.filter(|live| live.watch.runs())
    }

    /// Whether somebody starts or stops the sandbox at this moment.
    pub(crate) fn is_changing(&self, id: Uuid) -> bool {
        self.slots().get(&id).is_some_and(|slot| slot.change.try_lock().is_err())
    }

    /// Every sandbox that runs.
    #[must_use]
    pub fn all_live(&self) -> Vec<(Uuid, Live)> {
        let ids: Vec<Uuid> = self.slots().keys().copied().collect();
        ids.into_iter().filter_map(|id| Some((id, self.live(id)?))).collect()
    }

    /// Starts the sandbox unless it runs, and gives the way into it.
    ///
    /// # Errors
    /// When it can't be started; nothing of it is left then.
    pub async fn ensure_running(&self, spec: &SandboxSpec) -> Result<Live, SandboxError> {
        self.ensure_running_from(spec, None).await
    }

    /// The same; a sandbox that has to be started goes on from what [`Runtime::save`] wrote.
    ///
    /// # Errors
    /// As [`Sandboxes::ensure_running`].
    pub async fn ensure_running_from(
        &self,
        spec: &SandboxSpec,
        state: Option<&Path>,
    ) -> Result<Live, SandboxError> {
        if let Some(live) = self.live(spec.id) {
            live.touch();
            return Ok(live);
        }
        let slot = self.slot(spec.id);
        let _change = slot.change.lock().await;
        if let Some(live) = self.live(spec.id) {
            return Ok(live);
        }
        let runtime = self.runtime(&spec.runtime)?;
        let image = match &spec.root {
            Root::Machine => None,
            Root::Image(id) => Some(self.images.get(id)?),
        };
        if runtime.capabilities().own_kernel {
            let folders = self.folders(spec.id);
            std::fs::create_dir_all(folders.root())
                .map_err(SandboxError::io("making", folders.root()))?;
        } else {
            self.layers(spec.id, &spec.resources)?;
        }
        store::sandbox_starting(&self.store, spec).await?;
        let mut limits = spec.resources.clone();
        if runtime.capabilities().own_kernel {
            // The machine ends its own processes when its memory is full. Its monitor has to fit in
            // beside it, or the host ends all of it.
            limits.memory = limits.memory.map(|bytes| bytes + MONITOR_MEMORY);
            if self.cgroups.check(&limits).is_err() {
                // Its size is its limit, with control groups or without.
                limits = Resources::default();
            }
        }
        let cgroup = self.cgroups.create(&spec.id.to_string(), &limits)?;
        let folders = self.folders(spec.id);
        let request = StartRequest {
            spec,
            folders: &folders,
            cgroup: &cgroup,
            home: &self.places.home,
            image: image.as_ref(),
            images: &self.images,
            state,
        };
        match runtime.start(request).await {
            Ok(running) => {
                store::sandbox_running(&self.store, spec.id, &running).await?;
                Ok(self.adopt(spec.id, &spec.runtime, running)?)
            }
            Err(error) => {
                reconcile::remove_traces(&folders, Some(cgroup), &self.cgroups).await;
                store::sandbox_gone(&self.store, spec.id).await?;
                Err(error)
            }
        }
    }

    /// Takes up a sandbox that runs: from now on its end is noticed.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRuntime`] when it was started by a build that had more of them.
    pub(crate) fn adopt(
        &self,
        id: Uuid,
        runtime: &str,
        running: Running,
    ) -> Result<Live, SandboxError> {
        let guest = self.runtime(runtime)?.guest(&self.folders(id));
        let met = running.cgroup.events();
        let used = Arc::new(Mutex::new(Instant::now()));
        let watch = Arc::new(process::Watch::of(&running.instance));
        let live = Live { running, guest, used, met, watch };
        *self.slot(id).live() = Some(live.clone());
        if let Some(this) = self.this.upgrade() {
            let pid = live.running.instance.init.pid;
            tokio::spawn(async move { this.wait_for_end(id, pid).await });
        }
        Ok(live)
    }

    async fn wait_for_end(&self, id: Uuid, pid: i32) {
        process::ended(pid).await;
        let slot = self.slot(id);
        let _change = slot.change.lock().await;
        let ours = slot.live().as_ref().is_some_and(|live| live.running.instance.init.pid == pid);
        if ours {
            self.clean_up(id).await;
        }
    }

    /// Ends the sandbox with everything in it; its files are kept. One that does not run is fine.
    ///
    /// # Errors
    /// When a process of it can't be ended.
    pub async fn stop(&self, id: Uuid) -> Result<(), SandboxError> {
        let slot = self.slot(id);
        let _change = slot.change.lock().await;
        let instance = slot.live().as_ref().map(|live| live.running.clone());
        let instance = instance.map(|running| (running.instance, running.cgroup));
        if let Some((instance, group)) = instance {
            let root = self.folders(id).root().to_owned();
            tokio::task::spawn_blocking(move || process::end(&instance, &group))
                .await
                .unwrap_or_else(|e| Err(std::io::Error::other(e)))
                .map_err(SandboxError::io("ending the processes of", root))?;
        }
        self.clean_up(id).await;
        Ok(())
    }

    /// What is left outside when a sandbox has ended: its control group, its socket, its row.
    async fn clean_up(&self, id: Uuid) {
        let live = self.slot(id).live().take();
        // Counted in the control group, which goes now.
        let met = live.as_ref().map(|l| l.running.cgroup.events()).unwrap_or_default();
        reconcile::remove_traces(&self.folders(id), live.map(|l| l.running.cgroup), &self.cgroups)
            .await;
        if let Err(error) = store::sandbox_gone(&self.store, id).await {
            tracing::error!(%error, %id, "a sandbox that ended could not be struck from the table");
        }
        let _ = self.ended.send(End { id, met });
    }

    /// Ends the sandbox and takes its disk down, so that its folder can be removed.
    ///
    /// # Errors
    /// When a process or a mount can't be ended.
    pub async fn release(&self, id: Uuid) -> Result<(), SandboxError> {
        self.stop(id).await?;
        let root = self.folders(id).root().to_owned();
        tokio::task::spawn_blocking(move || disk::unmount(&root)).await.unwrap_or_else(|e| {
            Err(SandboxError::io("unmounting", "")(std::io::Error::other(e)))
        })?;
        self.slots().remove(&id);
        Ok(())
    }

    /// Removes what this home left in the control groups when no sandbox runs.
    pub fn tidy(&self) {
        if self.all_live().is_empty() {
            self.cgroups.tidy();
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: Uuid) -> Arc<Slot> {
        self.slots().entry(id).or_default().clone()
    }
}

impl Slot {
    fn live(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// Notes that somebody uses it now.
    pub fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nobody has used it.
    #[must_use]
    pub fn idle(&self) -> std::time::Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether anything runs in it besides its guest. Whatever lost its parent belongs to the
    /// sandbox's first process, so that one's children are enough to look at.
    #[must_use]
    pub fn has_processes(&self) -> bool {
        let pid = self.running.instance.init.pid;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        // A kernel without that file: better too long than ended in the middle of something.
        children.map_or(true, |children| !children.trim().is_empty())
    }

    /// Which limit was met since `before`, in words.
    #[must_use]
    pub fn limit_met(&self, before: LimitEvents) -> Option<String> {
        let now = self.running.cgroup.events();
        if now.out_of_memory > before.out_of_memory {
            return Some("the environment's memory limit was met".into());
        }
        (now.processes > before.processes)
            .then(|| "the environment's limit on processes was met".into())
    }
}
