//! The service that joins the parts: what every step can reach, and how an environment is found.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use atelier_api::system::{Check, EnvCounts, JobView, Verdict};
use atelier_api::{HostPath, Name, Problem};
use atelier_config::Home;
use atelier_environment::Project;
use atelier_sandbox::{ImageStore, Places, Sandboxes};
use atelier_store::Store;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, Semaphore};
use uuid::Uuid;

use crate::error::{broken, no_environment};
use crate::events::Hub;
use crate::keep::Recorders;
use crate::options::Defaults;
use crate::record::Record;
use crate::services::{Driver, Names, ServiceSettings};
use crate::store;

type NameLocks = HashMap<(String, Name), Arc<RwLock<()>>>;

/// Environments of one home, with all that belongs to them.
#[derive(Debug)]
pub struct Workshop {
    pub(crate) home: Home,
    pub(crate) store: Store,
    pub(crate) sandboxes: Arc<Sandboxes>,
    pub(crate) defaults: Defaults,
    pub(crate) events: Hub,
    pub(crate) user_home: PathBuf,
    /// The port where web servers inside are reached.
    pub(crate) ingress: Option<u16>,
    /// Copying is bound by the disk: more at a time only makes each slower.
    pub(crate) copies: Semaphore,
    /// Held for reading while an environment is made from a base, for writing while bases that
    /// nobody uses are removed.
    pub(crate) bases: RwLock<()>,
    pub(crate) driver: Driver,
    /// Whether this machine's resolver asks us for the names of services.
    pub(crate) resolves: std::sync::atomic::AtomicBool,
    names: Mutex<NameLocks>,
    at_work: Arc<Mutex<HashSet<Uuid>>>,
    pub(crate) recorders: Recorders,
}

/// An environment that this process is making or removing, until it is dropped.
#[derive(Debug)]
pub(crate) struct AtWork {
    all: Arc<Mutex<HashSet<Uuid>>>,
    id: Uuid,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Workshop {
    /// Opens the service. Nothing is started; call [`Workshop::reconcile`] next.
    ///
    /// # Errors
    /// When the home can't be written.
    pub fn open(
        home: &Home,
        store: Store,
        images: ImageStore,
        defaults: Defaults,
        services: ServiceSettings,
        ingress: Option<u16>,
    ) -> Result<Arc<Self>, Problem> {
        let places = Places {
            home: home.root().to_owned(),
            sandboxes: home.sandboxes(),
            bin: home.bin(),
            cgroup: group_name(home),
            criu: defaults.criu.clone(),
        };
        Ok(Arc::new(Self {
            home: home.clone(),
            sandboxes: Sandboxes::open(places, store.clone(), images)?,
            store,
            defaults,
            events: Hub::default(),
            user_home: user_home(),
            ingress,
            copies: Semaphore::new(std::thread::available_parallelism().map_or(2, |n| 2 * n.get())),
            bases: RwLock::default(),
            driver: Driver::new(services),
            resolves: std::sync::atomic::AtomicBool::default(),
            names: Mutex::default(),
            at_work: Arc::default(),
            recorders: Recorders::default(),
        }))
    }

    /// What happens.
    #[must_use]
    pub fn events(&self) -> &Hub {
        &self.events
    }

    /// What runs, of environments and others.
    #[must_use]
    pub fn sandboxes(&self) -> &Arc<Sandboxes> {
        &self.sandboxes
    }

    /// The names of services.
    #[must_use]
    pub fn service_names(&self) -> &Arc<Names> {
        &self.driver.names
    }

    /// Says whether this machine's resolver asks us for the names of services, so that URLs have them.
    pub fn set_resolves(&self, resolves: bool) {
        self.resolves.store(resolves, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether the system finds names of services.
    #[must_use]
    pub fn resolves(&self) -> bool {
        self.resolves.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What everything of this home carries in an engine.
    pub(crate) fn home_label(&self) -> String {
        group_name(&self.home)
    }

    /// The home folder of the user that the control plane serves.
    #[must_use]
    pub fn user_home(&self) -> &Path {
        &self.user_home
    }

    /// The control plane stops: what no environment needs is taken away.
    pub fn close(&self) {
        self.sandboxes.tidy();
    }

    /// The project around a folder.
    pub(crate) async fn project(&self, folder: &HostPath) -> Result<Project, Problem> {
        let (folder, home) = (folder.0.clone(), self.user_home.clone());
        let asked = folder.clone();
        // A few system calls on the user's disk, which may be a slow one.
        let found = tokio::task::spawn_blocking(move || Project::discover(&folder, Some(&home)));
        match found.await.map_err(|e| broken(&e))? {
            Ok(project) => Ok(project),
            Err(error) => self.gone_project(&asked).await?.ok_or_else(|| error.into()),
        }
    }

    /// A project whose folder is gone, but not its environments: they can still be looked at,
    /// applied elsewhere and removed.
    async fn gone_project(&self, folder: &Path) -> Result<Option<Project>, Problem> {
        if folder.exists() {
            return Ok(None);
        }
        let rows = store::environment_list(&self.store, None).await?;
        let mut projects = rows.into_iter().filter_map(|row| Some(row.record?.project));
        Ok(projects.find(|project| folder.starts_with(&project.root)))
    }

    /// Changes of one environment wait for each other, and for those who are about to use it.
    pub(crate) async fn lock(&self, project: &Project, name: &Name) -> OwnedRwLockWriteGuard<()> {
        self.name_lock(project, name).write_owned().await
    }

    /// The same for one who would rather not wait: `None` when somebody uses or changes it.
    pub(crate) fn try_lock(
        &self,
        project: &Project,
        name: &Name,
    ) -> Option<OwnedRwLockWriteGuard<()>> {
        self.name_lock(project, name).try_write_owned().ok()
    }

    /// As long as this is held the environment is not changed or removed.
    pub(crate) async fn share(&self, project: &Project, name: &Name) -> OwnedRwLockReadGuard<()> {
        self.name_lock(project, name).read_owned().await
    }

    fn name_lock(&self, project: &Project, name: &Name) -> Arc<RwLock<()>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Locks that nobody holds are dropped when the table has grown.
        if names.len() > 1024 {
            names.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        names.entry((project.id(), name.clone())).or_default().clone()
    }

    /// From now on the reconciler leaves this environment alone.
    pub(crate) fn at_work(&self, id: Uuid) -> AtWork {
        let all = self.at_work.clone();
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        AtWork { all, id }
    }

    /// Environments that this process is making or removing.
    pub(crate) fn busy(&self) -> HashSet<Uuid> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An environment that is whole, if there is one of this name.
    pub(crate) async fn find(
        &self,
        project: &Project,
        name: &Name,
    ) -> Result<Option<Record>, Problem> {
        let row = store::environment_find(&self.store, &project.id(), name).await?;
        Ok(row.filter(|row| row.state == "ready").and_then(|row| row.record))
    }

    /// An environment that is whole.
    pub(crate) async fn get(&self, folder: &HostPath, name: &Name) -> Result<Record, Problem> {
        let project = self.project(folder).await?;
        if let Some(record) = self.find(&project, name).await? {
            return Ok(record);
        }
        let there = store::environment_list(&self.store, Some(&project.id())).await?;
        let there: Vec<String> = there.iter().map(|row| row.name.to_string()).collect();
        Err(no_environment(name, project.name.as_str(), &there))
    }

    /// The folder of an environment's record and logs.
    pub(crate) fn folder(&self, id: Uuid) -> PathBuf {
        self.home.environments().join(id.to_string())
    }

    /// How many environments there are.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn counts(&self) -> Result<EnvCounts, Problem> {
        let total = store::environment_list(&self.store, None).await?.len();
        let standalone = self.sandboxes.standalone();
        let live = self.sandboxes.all_live();
        let running = live.iter().filter(|(id, _)| !standalone.contains(id)).count();
        Ok(EnvCounts { total: total as u64, running: running as u64 })
    }

    /// Changes under way.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn jobs(&self) -> Result<Vec<JobView>, Problem> {
        let rows = self.store.journal().unfinished().await?;
        let view = |row: atelier_store::JobRow| JobView {
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            step: row.step,
            started_at: row.started_at,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// What this machine has and lacks.
    pub async fn probe(self: &Arc<Self>) -> Vec<Check> {
        let this = self.clone();
        let probed = tokio::task::spawn_blocking(move || this.sandboxes.probe()).await;
        let mut checks = probed.unwrap_or_default();
        checks.push(limits(self.sandboxes.limits_missing()));
        checks.extend(self.probe_services().await);
        checks
    }
}

fn limits(missing: Option<(&str, &str)>) -> Check {
    let (verdict, detail, remedy) = match missing {
        None => (Verdict::Ok, "limits on memory, cpus and processes are enforced".to_owned(), None),
        Some((why, remedy)) => (Verdict::Warning, why.to_owned(), Some(remedy.to_owned())),
    };
    Check { name: "control groups".into(), verdict, detail, remedy, fixable: false }
}

/// What this machine has and lacks, without a control plane.
#[must_use]
pub fn probe_machine() -> Vec<Check> {
    let place = std::env::temp_dir().join(format!("atelier-probe-{}", std::process::id()));
    let checks = match atelier_sandbox::runtimes(&place, &place, None) {
        Ok(runtimes) => runtimes.iter().flat_map(|r| r.examine()).collect(),
        Err(_) => Vec::new(),
    };
    let _ = std::fs::remove_dir_all(place);
    checks
}

/// Every home has its own folder of control groups, so that two don't touch each other's.
fn group_name(home: &Home) -> String {
    use std::os::unix::ffi::OsStrExt;
    let bytes = home.root().as_os_str().as_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("atelier-{hash:016x}")
}

/// The user's home folder, by the variable that every shell sets.
fn user_home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}
