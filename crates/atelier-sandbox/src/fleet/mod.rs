//! The fleet: sandboxes that live on their own, from creation to removal, and what they start from.
//!
//! `record.rs` is what is known of one, `store.rs` has the SQL, `plan.rs` decides what a new one is
//! made of; `life.rs` starts, pauses and ends them, `expiry.rs` when their time is over;
//! `copies.rs` is snapshots, restore and fork. How a sandbox runs is [`Sandboxes`]' business.

mod copies;
mod create;
mod egress;
mod expiry;
mod images;
mod inside;
mod kept;
mod layer;
mod life;
mod metrics;
mod plan;
mod presets;
mod record;
mod recover;
mod remove;
mod sealed;
mod secret;
mod secrets;
mod store;
mod template;
mod view;
mod volumes;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use atelier_api::sandbox::MetricsSample;
use atelier_api::{ExitCode, Problem};
use atelier_guest::client::Guest;
use atelier_image::ImageStore;
use atelier_net::Policy;
use atelier_store::Store;
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use crate::{Live, SandboxError, Sandboxes};
use record::Record;
use secret::Secret;
use volumes::Volumes;

/// What sandboxes are made with unless somebody says otherwise, and how they are reached.
#[derive(Debug, Clone, Default)]
pub struct FleetDefaults {
    /// The runtime.
    pub runtime: String,
    /// The image, template or snapshot.
    pub from: String,
    /// Processes and threads of one sandbox.
    pub processes: u64,
    /// The domain below which their ports have names.
    pub domain: String,
    /// `http` or `https`, and the port that the ingress listens on, if it does.
    pub ingress: Option<(&'static str, u16)>,
    /// The home folder of the user, for the runtime `host`.
    pub user_home: PathBuf,
}

/// Folders of the home that the fleet keeps things in.
#[derive(Debug, Clone)]
pub struct FleetFolders {
    /// Keys.
    pub keys: PathBuf,
    /// States that hold memory.
    pub snapshots: PathBuf,
    /// Volumes.
    pub volumes: PathBuf,
    /// Where connections with header rules are taken over.
    pub egress_socket: PathBuf,
}

/// A change of one sandbox's state: its id, and a word for events.
pub type FleetEvent = (Uuid, &'static str);

/// Every sandbox of one home that belongs to no environment.
#[derive(Debug)]
pub struct Fleet {
    sandboxes: Arc<Sandboxes>,
    store: Store,
    defaults: FleetDefaults,
    secret: Secret,
    egress: egress::Place,
    volumes: Volumes,
    /// Where states that hold memory lie.
    snapshots: PathBuf,
    entries: Mutex<BTreeMap<Uuid, Arc<Entry>>>,
    /// Templates are built one after the other for each name.
    building: tokio::sync::Mutex<()>,
    /// Somebody's time has changed.
    clock: Notify,
    events: broadcast::Sender<FleetEvent>,
    this: Weak<Self>,
}

/// One sandbox's place: changes of it wait for each other, not for those of others.
#[derive(Debug)]
struct Entry {
    id: Uuid,
    change: tokio::sync::Mutex<()>,
    record: Mutex<Record>,
    samples: Mutex<VecDeque<MetricsSample>>,
    /// When processor time was last read, and how much it was in microseconds.
    cpu: Mutex<Option<(Timestamp, u64)>>,
}

impl Entry {
    fn new(record: Record) -> Arc<Self> {
        Arc::new(Self {
            id: record.id,
            change: tokio::sync::Mutex::default(),
            record: Mutex::new(record),
            samples: Mutex::default(),
            cpu: Mutex::default(),
        })
    }

    fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    /// Opens the service with what the database says. Nothing is started or ended; that is
    /// [`Fleet::recover`]. The folders are of the home.
    ///
    /// # Errors
    /// When the database or the secret can't be read.
    pub async fn open(
        sandboxes: Arc<Sandboxes>,
        store: Store,
        defaults: FleetDefaults,
        folders: FleetFolders,
    ) -> Result<Arc<Self>, Problem> {
        let secret = Secret::open(&folders.keys.join("sandboxes"))
            .map_err(|e| Problem::new("home.unusable", ExitCode::Configuration, format!("{e}")))?;
        let mut records = store::fleet(&store).await?;
        records.extend(lost(&sandboxes, &store, &records).await?);
        for record in &records {
            sandboxes.set_standalone(record.id, true);
        }
        let entries = records.into_iter().map(|r| (r.id, Entry::new(r))).collect();
        let (events, _) = broadcast::channel(256);
        Ok(Arc::new_cyclic(|this| Self {
            sandboxes,
            store,
            defaults,
            secret,
            egress: egress::Place::new(folders.egress_socket, folders.keys),
            snapshots: folders.snapshots,
            volumes: Volumes::at(folders.volumes),
            entries: Mutex::new(entries),
            building: tokio::sync::Mutex::default(),
            clock: Notify::new(),
            events,
            this: this.clone(),
        }))
    }

    /// What happens to sandboxes from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<FleetEvent> {
        self.events.subscribe()
    }

    /// Where images lie.
    #[must_use]
    pub fn image_store(&self) -> &ImageStore {
        self.sandboxes.images()
    }

    /// The sandbox of that id, unique beginning of an id, or name.
    fn find(&self, asked: &str) -> Result<Arc<Entry>, Problem> {
        let entries = self.entries();
        if let Some(entry) = asked.parse().ok().and_then(|id: Uuid| entries.get(&id)) {
            return Ok(entry.clone());
        }
        let named = |e: &&Arc<Entry>| e.lock().name.as_ref().is_some_and(|n| n.as_str() == asked);
        if let Some(entry) = entries.values().find(named) {
            return Ok(entry.clone());
        }
        let begins = |id: &Uuid| id.simple().to_string().starts_with(asked);
        let mut found = entries.iter().filter(|(id, _)| asked.len() >= 4 && begins(id));
        match (found.next(), found.next()) {
            (Some((_, entry)), None) => Ok(entry.clone()),
            (Some(_), Some(_)) => Err(Problem::new(
                "sandbox.ambiguous",
                ExitCode::Usage,
                format!("more than one sandbox's id begins with {asked:?}"),
            )
            .hint("give more of it")),
            _ => Err(no_sandbox(asked)),
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every entry, as it is now.
    fn all(&self) -> Vec<Arc<Entry>> {
        self.entries().values().cloned().collect()
    }

    /// Changes the record and writes it down; a change that can't be written is not made.
    async fn write(&self, entry: &Entry, change: impl FnOnce(&mut Record)) -> Result<(), Problem> {
        let mut record = entry.record();
        change(&mut record);
        store::save(&self.store, &record).await?;
        kept::follow(self.sandboxes.folders(entry.id).root(), &record);
        *entry.lock() = record;
        Ok(())
    }

    /// Does it in a task of its own: a caller who goes away leaves nothing half-done.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        // Boxed, so that a task's machinery is compiled once for a type of answer.
        let work: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(work);
        tokio::spawn(work).await.unwrap_or_else(|e| Err(broken(&e)))
    }

    fn me(&self) -> Result<Arc<Self>, Problem> {
        self.this.upgrade().ok_or_else(|| broken(&"the control plane is going down"))
    }

    fn announce(&self, id: Uuid, what: &'static str) {
        let _ = self.events.send((id, what));
    }

    fn live(&self, id: Uuid) -> Option<Live> {
        self.sandboxes.live(id)
    }
}

/// Sandboxes whose folders hold a record that the database lost; it has them again afterwards.
async fn lost(
    sandboxes: &Sandboxes,
    store: &Store,
    known: &[Record],
) -> Result<Vec<Record>, SandboxError> {
    let mut found = Vec::new();
    for mut record in kept::all(sandboxes.folder()) {
        if known.iter().any(|other| other.id == record.id) {
            continue;
        }
        if !store::claim(store, &record).await? {
            // Its name went to another one meanwhile.
            record.name = None;
            store::claim(store, &record).await?;
        }
        tracing::warn!(sandbox = record.label(), "the database had lost this sandbox");
        found.push(record);
    }
    Ok(found)
}

/// The guest of a sandbox, and what those who talk to it need to know.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// The sandbox.
    pub id: Uuid,
    /// Its guest, with the token that it wants to see.
    pub guest: Guest,
    /// Shown by callers from outside to the guest.
    pub access_token: String,
    /// What requests find as their `Host`; `${PORT}` stands for the port.
    pub request_host: Option<String>,
    /// What its network lets through.
    pub policy: Policy,
}

fn no_sandbox(asked: &str) -> Problem {
    Problem::new("sandbox.not_found", ExitCode::NotFound, format!("there is no sandbox {asked:?}"))
        .hint("'atelier sandbox ls' lists those that there are")
}

fn conflict(code: &str, detail: String) -> Problem {
    Problem::new(code, ExitCode::Conflict, detail)
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    Problem::new("internal", ExitCode::Failed, format!("this should not happen: {error}"))
}
