//! The life of the control plane: take the lock, open the state, put right what a kill left, listen,
//! and stop without touching environments.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use atelier_auth::{Audit, LocalKey};
use atelier_config::Home;
use atelier_run::{Defaults, Workshop};
use atelier_store::Store;
use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::{http, ingress, listen, memory, peer::Peer};

/// How a control plane is started.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The home that it serves.
    pub home: Home,
    /// A TCP address besides the Unix socket.
    pub listen: Option<String>,
    /// Where web servers inside environments are reached; `None` for nowhere.
    pub ingress: Option<String>,
    /// What environments are made with unless somebody says otherwise.
    pub defaults: Defaults,
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
    let home = &options.home;
    let store = Store::open(&home.database()).await?;
    let ingress = ingress::bind(options.ingress.as_deref()).await;
    let tcp = match &options.listen {
        Some(address) => Some(listen::tcp(address).await?),
        None => None,
    };
    let url = ingress.as_ref().and_then(|l| l.local_addr().ok());
    let workshop = Workshop::open(home, store.clone(), options.defaults, url.map(|a| a.port()))?;
    let mended = workshop.reconcile().await?;
    if !mended.is_empty() {
        tracing::warn!(?mended, "put right what an earlier control plane left");
    }
    let app = Arc::new(App {
        workshop: workshop.clone(),
        audit: Audit::new(store.clone()),
        key: key(home)?,
        build: options.build,
        home: home.root().to_owned(),
        listen: tcp.as_ref().and_then(|l| l.local_addr().ok()).map(|a| a.to_string()),
        ingress: url.map(|a| a.to_string()),
        started_at: Timestamp::now(),
        stop: CancellationToken::new(),
        sessions: TaskTracker::new(),
        owner: nix::unistd::geteuid().as_raw(),
    });
    stop_on_signals(&app.stop)?;
    tokio::spawn(workshop.clone().stop_idle(app.stop.clone()));
    let (quiet, stop) = (workshop.clone(), app.stop.clone());
    tokio::spawn(async move { memory::give_back(quiet.events(), stop).await });
    let unix = listen::unix(&home.socket())?;
    tracing::info!(home = %home.root().display(), listen = ?app.listen, ingress = ?app.ingress, "serving");
    run(&app, unix, tcp, ingress, options.grace).await;
    let _ = fs::remove_file(home.socket());
    app.sessions.close();
    let _ = tokio::time::timeout(options.grace, app.sessions.wait()).await;
    workshop.close();
    store.close().await;
    tracing::info!("stopped; environments go on");
    Ok(true)
}

async fn run(
    app: &Arc<App>,
    unix: tokio::net::UnixListener,
    tcp: Option<tokio::net::TcpListener>,
    ingress: Option<tokio::net::TcpListener>,
    grace: Duration,
) {
    let router = http::router(app.clone());
    let stop = |app: &Arc<App>| app.stop.clone().cancelled_owned();
    let service = router.clone().into_make_service_with_connect_info::<Peer>();
    let over_unix = axum::serve(unix, service).with_graceful_shutdown(stop(app));
    let over_tcp = async {
        let Some(tcp) = tcp else { return };
        let service = router.into_make_service_with_connect_info::<Peer>();
        let _ = axum::serve(tcp, service).with_graceful_shutdown(stop(app)).await;
    };
    if let Some(listener) = ingress {
        tokio::spawn(ingress::run(listener, app.workshop.clone(), app.stop.clone()));
    }
    let all = async {
        let _ = tokio::join!(over_unix.into_future(), over_tcp);
    };
    // A call that never ends must not keep a stop from happening.
    let limit = async {
        app.stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! { () = all => {}, () = limit => {} }
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
