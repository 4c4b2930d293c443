//! The life of the control plane: take the lock, open the state, put right what a kill left, listen,
//! and stop without touching environments.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use atelier_auth::{Audit, LocalKey, Tokens};
use atelier_config::{Home, env_vars};
use atelier_image::StoreOptions;
use atelier_ingress::{Ingress, TlsConfig};
use atelier_run::{Defaults, ServiceSettings, Workshop};
use atelier_sandbox::{Fleet, FleetDefaults, FleetFolders, ImageStore};
use atelier_store::Store;
use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::far::{self, FarHosts};
use crate::foreign::{self, CallerDoor};
use crate::fronts::{Fronts, LazyTls};
use crate::listeners::{self, Addresses, Certificate, Listeners, Served};
use crate::metrics::Calls;
use crate::names::NameServer;
use crate::shells::Shells;
use crate::upstreams::Places;
use crate::{http, listen, memory};

/// How many connections from the ingress to the API may wait to be taken.
const API_BACKLOG: usize = 64;

/// How a control plane is started.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The home that it serves.
    pub home: Home,
    /// Where it listens, besides its Unix socket.
    pub addresses: Addresses,
    /// Certificates of the ingress.
    pub certificate: Certificate,
    /// What environments are made with unless somebody says otherwise.
    pub defaults: Defaults,
    /// What sandboxes are made with unless somebody says otherwise.
    pub sandboxes: FleetDefaults,
    /// Where services of environments run.
    pub services: ServiceSettings,
    /// Where images come from.
    pub images: StoreOptions,
    /// Version and build.
    pub build: String,
    /// How long calls under way may take when the control plane stops.
    pub grace: Duration,
}

/// Serves until it is told to stop. `Ok(false)` when another control plane serves this home.
///
/// # Errors
/// When the state can't be opened, or an address can't be listened on.
pub async fn serve(options: ServeOptions) -> Result<bool, Problem> {
    let Some(_lock) = lock(&options.home)? else { return Ok(false) };
    let home = options.home.clone();
    let store = Store::open(&home.database()).await?;
    let listeners = Listeners::bind(&options.addresses).await?;
    let parts = Parts::open(&options, &store, &listeners).await?;
    let (api, from_ingress) = tokio::sync::mpsc::channel(API_BACKLOG);
    let domain = options.sandboxes.domain.clone();
    let names = NameServer::start(&options.services.suffix, options.addresses.dns).await?;
    let names = Arc::new(names);
    let stop = CancellationToken::new();
    let far = FarHosts::new(far::Around {
        home: home.clone(),
        build: options.build.clone(),
        workshop: parts.workshop.clone(),
        zone: names.zone().clone(),
        filled: names.filled(),
        suffix: options.services.suffix.clone(),
        ingress: Listeners::address(listeners.ingress.as_ref()).map(|a| a.port()),
        stop: stop.clone(),
    });
    let places = Places {
        workshop: parts.workshop.clone(),
        fleet: parts.fleet.clone(),
        far: far.clone(),
        domain: domain.clone(),
        api,
    };
    let proxy = Arc::new(Ingress::new(Arc::new(places), atelier_ingress::Options::default()));
    let tls = match &listeners.tls {
        Some(_) => {
            Some(listeners::tls(&home, &domain, &options.services.suffix, &options.certificate)?)
        }
        None => None,
    };
    let of_fronts = tls_of_fronts(&options, tls.clone());
    let fronts = Fronts::new(proxy.clone(), of_fronts, names.zone().clone(), names.filled());
    parts.workshop.service_names().answered_by(Box::new(fronts));
    let ways =
        Ways { listeners: &listeners, proxy: proxy.clone(), names: names.clone(), far, stop };
    let app = Arc::new(app(&options, &parts, ways, &store)?);
    stop_on_signals(&app.stop)?;
    in_background(&app);
    let e2b = atelier_e2b::E2b::default();
    let sweeper = CallerDoor::of_control_plane(app.clone());
    if let Err(error) = e2b.sweep(&sweeper).await {
        tracing::warn!(%error, "what unfinished template builds left could not be removed");
    }
    let shells = match &listeners.ssh {
        Some(_) => Some((shells(&app), ssh_settings(&home)?)),
        None => None,
    };
    let egress = listen::unix(&home.egress_socket())?;
    tokio::spawn(parts.fleet.clone().serve_egress(egress));
    let served = Served {
        unix: listen::unix(&home.socket())?,
        listeners,
        tls,
        api: from_ingress,
        router: http::router(app.clone(), foreign::routers(&app, &e2b)),
        proxy,
        shells,
    };
    for stranger in env_vars::strangers_here() {
        tracing::warn!(
            name = stranger.name,
            meant = stranger.meant,
            "a variable that nothing reads"
        );
    }
    tracing::info!(home = %home.root().display(), listen = ?app.listen, ingress = ?app.ingress, "serving");
    listeners::run(served, app.stop.clone(), options.grace).await;
    let _ = fs::remove_file(home.socket());
    app.sessions.close();
    let _ = tokio::time::timeout(options.grace, app.sessions.wait()).await;
    names.stop().await;
    parts.workshop.close();
    store.close().await;
    tracing::info!("stopped; environments and sandboxes go on");
    Ok(true)
}

/// The services, with what an earlier control plane left put right.
struct Parts {
    workshop: Arc<Workshop>,
    fleet: Arc<Fleet>,
}

impl Parts {
    async fn open(
        options: &ServeOptions,
        store: &Store,
        listeners: &Listeners,
    ) -> Result<Self, Problem> {
        let home = &options.home;
        let images = ImageStore::open(&home.images(), options.images.clone())?;
        let ingress = Listeners::address(listeners.ingress.as_ref()).map(|a| a.port());
        let workshop = Workshop::open(
            home,
            store.clone(),
            images,
            options.defaults.clone(),
            options.services.clone(),
            ingress,
        )?;
        let defaults = FleetDefaults {
            ingress: listeners.url(),
            user_home: workshop.user_home().to_owned(),
            ..options.sandboxes.clone()
        };
        let sandboxes = workshop.sandboxes().clone();
        let folders = FleetFolders {
            keys: home.keys(),
            snapshots: home.snapshots(),
            volumes: home.volumes(),
            egress_socket: home.egress_socket(),
        };
        let fleet = Fleet::open(sandboxes, store.clone(), defaults, folders).await?;
        let mut mended = workshop.reconcile().await?;
        mended.extend(fleet.recover().await?);
        if !mended.is_empty() {
            tracing::warn!(?mended, "put right what an earlier control plane left");
        }
        Ok(Self { workshop, fleet })
    }
}

/// TLS at services' names is there without being asked for; without a certificate there is none.
fn tls_of_fronts(options: &ServeOptions, ready: Option<Arc<TlsConfig>>) -> LazyTls {
    let (home, certificate) = (options.home.clone(), options.certificate.clone());
    let (domain, suffix) = (options.sandboxes.domain.clone(), options.services.suffix.clone());
    LazyTls::new(Box::new(move || {
        ready.or_else(|| {
            let made = listeners::tls(&home, &domain, &suffix, &certificate);
            made.inspect_err(|problem| tracing::warn!(%problem, "no TLS for services")).ok()
        })
    }))
}

/// How others reach what is served.
struct Ways<'a> {
    listeners: &'a Listeners,
    proxy: Arc<Ingress>,
    names: Arc<NameServer>,
    far: Arc<FarHosts>,
    stop: CancellationToken,
}

fn app(
    options: &ServeOptions,
    parts: &Parts,
    ways: Ways<'_>,
    store: &Store,
) -> Result<App, Problem> {
    let Ways { listeners, proxy, names, far, stop } = ways;
    let home = &options.home;
    let address = |listener: &Option<tokio::net::TcpListener>| {
        Listeners::address(listener.as_ref()).map(|a| a.to_string())
    };
    let domain = options.sandboxes.domain.clone();
    let port = |(scheme, port)| match (scheme, port) {
        ("https", 443) => domain.clone(),
        _ => format!("{domain}:{port}"),
    };
    Ok(App {
        workshop: parts.workshop.clone(),
        fleet: parts.fleet.clone(),
        tokens: Tokens::new(store.clone()),
        proxy,
        sandbox_domain: listeners.url().map(port),
        domain: options.sandboxes.domain.clone(),
        uploads: home.uploads(),
        audit: Audit::new(store.clone()),
        calls: Calls::default(),
        key: key(home)?,
        build: options.build.clone(),
        home: home.root().to_owned(),
        listen: address(&listeners.tcp),
        ingress: address(&listeners.ingress),
        tls: address(&listeners.tls),
        ssh: address(&listeners.ssh),
        names,
        far,
        started_at: Timestamp::now(),
        stop,
        sessions: TaskTracker::new(),
        owner: nix::unistd::geteuid().as_raw(),
    })
}

/// What goes on without being asked.
fn in_background(app: &Arc<App>) {
    let (workshop, fleet, stop) = (&app.workshop, &app.fleet, &app.stop);
    tokio::spawn(workshop.clone().stop_idle(stop.clone()));
    tokio::spawn(workshop.clone().watch_services(stop.clone()));
    tokio::spawn(workshop.clone().keep_running());
    tokio::spawn(app.names.clone().keep(workshop.clone(), stop.clone()));
    tokio::spawn(fleet.clone().keep_time(stop.clone()));
    tokio::spawn(fleet.clone().sample(stop.clone()));
    let (quiet, stopped) = (workshop.clone(), stop.clone());
    tokio::spawn(async move { memory::give_back(quiet.events(), stopped).await });
    let (hub, mut events, proxy) = (workshop.clone(), fleet.events(), app.proxy.clone());
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok((id, what)) => {
                    // Connections to what ran before lead nowhere, whatever runs there next.
                    if matches!(what, "stopped" | "restored" | "ended" | "removed") {
                        proxy.forget(&format!("{id}:"));
                    }
                    let kind = format!("sandbox.{what}");
                    hub.events().publish(&kind, id.simple().to_string(), serde_json::Value::Null);
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
}

fn ssh_settings(home: &Home) -> Result<atelier_ssh::Settings, Problem> {
    let host_key = atelier_ssh::host_key(&home.keys())?;
    Ok(atelier_ssh::Settings { host_key, scratch: home.uploads() })
}

fn shells(app: &App) -> Arc<Shells> {
    Arc::new(Shells {
        fleet: app.fleet.clone(),
        home: app.home.clone(),
        user_home: app.workshop.user_home().to_owned(),
    })
}

/// One control plane for each home.
fn lock(home: &Home) -> Result<Option<Flock<File>>, Problem> {
    let path = home.lock_file();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| unusable(&path, &e))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(unusable(&path, &error.into())),
    }
}

fn key(home: &Home) -> Result<LocalKey, Problem> {
    let path = home.api_key();
    fs::create_dir_all(home.keys())
        .and_then(|()| LocalKey::open(&path))
        .map_err(|e| unusable(&path, &e))
}

fn unusable(path: &std::path::Path, error: &std::io::Error) -> Problem {
    let detail = format!("{} can't be used: {error}", path.display());
    Problem::new("home.unusable", ExitCode::Configuration, detail)
        .hint("point ATELIER_HOME at a folder that you may write")
}

fn stop_on_signals(stop: &CancellationToken) -> Result<(), Problem> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(|e| {
            Problem::new("serve.signals", ExitCode::Failed, format!("signals can't be caught: {e}"))
        })?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    // A terminal that closes must not take the control plane with it.
    if let Ok(mut hangups) = signal(SignalKind::hangup()) {
        tokio::spawn(async move { while hangups.recv().await.is_some() {} });
    }
    Ok(())
}
