//! Services of environments: a project's Compose files, under names of the environment's own.
//!
//! `up` goes through the journal: subnet, file, networks, containers, health, names. Whatever stops in the
//! middle is taken back by what the engine knows, not by what we remember: everything carries our labels.

mod bring;
mod command;
mod data;
mod direct;
mod down;
mod drift;
mod files;
mod follow;
mod hostnames;
mod names;
mod places;
mod probe;
mod reached;
mod record;
pub(crate) mod renew;
mod repair;
mod shared;
mod status;
mod store;
mod subnets;
pub(crate) mod tree;
mod trust;
mod up;
mod url;
mod wait;
mod watch;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use atelier_api::Problem;
use atelier_compose::{Kept, Loader, Tool};
use atelier_engine::{Engine, Surroundings};
use tokio::sync::{Mutex, Notify, RwLock};
use uuid::Uuid;

pub use command::{ServiceCommand, ServiceInput};
pub(crate) use files::has_services;
pub use follow::{Following, Written};
pub use hostnames::PROBE;
pub use names::{Front, Lookup, Names};
pub(crate) use tree::{hide as hide_tree, show as show_tree};

/// Our label on everything that belongs to a home.
pub(crate) const HOME: &str = "dev.atelier.home";
/// The environment's id.
pub(crate) const ENVIRONMENT: &str = "dev.atelier.environment";
/// The project's id, on shared services.
pub(crate) const SHARED: &str = "dev.atelier.shared";
/// The hash of a shared service's definition.
pub(crate) const DEFINITION: &str = "dev.atelier.definition";

/// Instead of Compose's program: none, though there is one.
const NATIVE: &str = "native";

/// Settings of services.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The engine: an address, `docker` or `podman`; found by itself when absent.
    pub engine: Option<String>,
    /// Where engines are looked for.
    pub around: Surroundings,
    /// The Compose program, when it is not to be found by itself; `native` for none.
    pub compose: Option<PathBuf>,
    /// `PATH`, where programs are looked for.
    pub path: OsString,
    /// Where services are reached from this machine.
    pub reach: atelier_config::Reach,
    /// The range that subnets come from.
    pub subnets: (std::net::Ipv4Addr, u8),
    /// The suffix of names.
    pub suffix: String,
    /// How long services may take until they run and are healthy.
    pub timeout: Duration,
    /// How long a shared service stays when nobody uses it any more; `None` for ever.
    pub grace: Option<Duration>,
}

/// What is known of the engine and its tools, found when first needed.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) settings: ServiceSettings,
    pub(crate) names: Arc<Names>,
    engine: RwLock<Option<Engine>>,
    loader: Mutex<Option<Arc<Loader>>>,
    /// Projects that were read before.
    pub(crate) models: Arc<Kept>,
    /// Held while a subnet is chosen and claimed.
    pub(crate) subnets: Mutex<()>,
    /// Held while a shared service is started, counted or stopped.
    pub(crate) shared: Mutex<()>,
    /// Held while a further name is chosen and noted.
    pub(crate) hostnames: Mutex<()>,
    /// Told when the engine was used.
    used: Notify,
    turns: std::sync::Mutex<HashMap<Uuid, Arc<Mutex<()>>>>,
}

impl Driver {
    pub(crate) fn new(settings: ServiceSettings) -> Self {
        Self {
            settings,
            names: Arc::default(),
            engine: RwLock::default(),
            loader: Mutex::default(),
            models: Arc::default(),
            subnets: Mutex::default(),
            shared: Mutex::default(),
            hostnames: Mutex::default(),
            used: Notify::new(),
            turns: std::sync::Mutex::default(),
        }
    }

    /// The engine. One that went away is looked for again.
    pub(crate) async fn engine(&self) -> Result<Engine, Problem> {
        if let Some(engine) = self.engine.read().await.clone() {
            return Ok(engine);
        }
        let mut kept = self.engine.write().await;
        if let Some(engine) = kept.clone() {
            return Ok(engine);
        }
        let found = Engine::find(self.settings.engine.as_deref(), &self.settings.around).await?;
        tracing::info!(address = found.address(), version = found.version(), "container engine");
        *kept = Some(found.clone());
        self.used.notify_one();
        Ok(found)
    }

    /// The engine went away: the next one who needs it looks for it again.
    pub(crate) async fn lose_engine(&self) {
        *self.engine.write().await = None;
    }

    /// Returns when an engine was found.
    pub(crate) async fn used(&self) {
        self.used.notified().await;
    }

    /// The lock of one environment's services.
    pub(crate) fn turn(&self, id: Uuid) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() > 1024 {
            turns.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        turns.entry(id).or_default().clone()
    }

    /// Compose, or what does without it.
    pub(crate) async fn loader(&self) -> Result<Arc<Loader>, Problem> {
        let mut kept = self.loader.lock().await;
        if let Some(loader) = &*kept {
            return Ok(loader.clone());
        }
        let (named, path) = (self.settings.compose.clone(), self.settings.path.clone());
        if named.as_deref() == Some(Path::new(NATIVE)) {
            return Ok(kept.insert(Arc::new(Loader::Native)).clone());
        }
        let found = tokio::task::spawn_blocking(move || Tool::detect(named.as_deref(), &path));
        let found = found.await.map_err(|e| crate::error::broken(&e))??;
        let loader = Arc::new(found.map_or(Loader::Native, Loader::Tool));
        // Without the program it is looked for again the next time: it may be installed by then.
        if matches!(*loader, Loader::Tool(_)) {
            *kept = Some(loader.clone());
        }
        Ok(loader)
    }
}
