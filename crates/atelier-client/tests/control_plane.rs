//! How the control plane of a home is found, started, replaced and stopped: with real processes,
//! each of which is this test program again, as a server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use atelier_api::session::{Event, VERSION_HEADER, VERSION_MISMATCH};
use atelier_api::system::{EnvCounts, Nothing, Status, SystemStatus};
use atelier_api::{ExitCode, Problem};
use atelier_client::{Client, ClientError, ControlPlane, Endpoint, Starter};
use atelier_config::Home;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

const HOME: &str = "TEST_SERVER_HOME";
const VERSION: &str = "TEST_SERVER_VERSION";

#[test]
#[ignore = "not a test: the server that the others start"]
fn server() {
    // No server outlives its test by much, whatever becomes of the test.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        std::process::exit(1);
    });
    let home = Home::at(std::env::var(HOME).expect("only the other tests start this"));
    let lock = File::create(home.lock_file()).unwrap();
    if lock.try_lock().is_err() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _ = std::fs::remove_file(home.socket());
        let listener = tokio::net::UnixListener::bind(home.socket()).unwrap();
        axum::serve(listener, router(home.socket())).await.unwrap();
    });
}

fn router(socket: PathBuf) -> Router {
    let stop = async move || {
        std::fs::remove_file(&socket).unwrap();
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            std::process::exit(0);
        });
        Json(Nothing {})
    };
    Router::new()
        .route("/api/v1/status", get(async || Json(status())))
        .route("/api/v1/events", get(events))
        .layer(from_fn(same_version))
        .route("/api/v1/stop", post(stop))
}

async fn same_version(request: Request, next: Next) -> Response {
    let ours = std::env::var(VERSION).unwrap();
    if request
        .headers()
        .get(VERSION_HEADER)
        .is_some_and(|theirs| theirs.as_bytes() != ours.as_bytes())
    {
        let problem = Problem::new(VERSION_MISMATCH, ExitCode::Conflict, "another version");
        return (StatusCode::CONFLICT, Json(problem)).into_response();
    }
    next.run(request).await
}

async fn events() -> Response {
    let event = |id| Event {
        id,
        at: jiff_epoch(),
        kind: "env.created".into(),
        subject: "p/a".into(),
        data: serde_json::json!({ "lines": "one\ntwo" }),
    };
    let lines = [1, 2].map(|id| format!("id: {id}\ndata: {}\n\n", serde_json::json!(event(id))));
    let body = format!(": a comment\n\n{}{}", lines[0], lines[1]);
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn jiff_epoch<T: serde::de::DeserializeOwned>() -> T {
    serde_json::from_value("1970-01-01T00:00:00Z".into()).unwrap()
}

fn status() -> Status {
    Status {
        version: std::env::var(VERSION).unwrap(),
        pid: std::process::id(),
        started_at: jiff_epoch(),
        home: "/".into(),
        listen: None,
        ingress: None,
        tls: None,
        domain: None,
        ssh: None,
        dns: None,
        suffix: None,
        environments: EnvCounts::default(),
        memory_bytes: 0,
        jobs: vec![],
    }
}

/// The control plane of a home, as a client of this version sees it.
fn plane(home: &Path, version: &'static str) -> ControlPlane<'static> {
    let home = Home::at(home);
    let client = Client::new(Endpoint::Unix(home.socket()), version, None);
    let starter = Starter::new(&home.clone(), move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "server", "--ignored"])
            .env(HOME, home.root())
            .env(VERSION, version);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(quiet.spawn().unwrap())
    });
    ControlPlane::local(client, starter)
}

async fn ask(plane: &ControlPlane<'_>) -> Status {
    plane.call::<SystemStatus>(&Nothing {}).await.unwrap()
}

#[tokio::test]
async fn it_is_started_once_however_many_ask() {
    let dir = tempfile::tempdir().unwrap();
    let planes: Vec<_> = (0..4).map(|_| plane(dir.path(), "1")).collect();
    let answers = tokio::join!(ask(&planes[0]), ask(&planes[1]), ask(&planes[2]), ask(&planes[3]));
    let pids = [answers.0.pid, answers.1.pid, answers.2.pid, answers.3.pid];
    assert_eq!(pids, [pids[0]; 4]);
    assert!(planes[0].stop().await.unwrap());
}

#[tokio::test]
async fn one_of_another_version_is_replaced_by_one_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new, also_new) =
        (plane(dir.path(), "1"), plane(dir.path(), "2"), plane(dir.path(), "2"));
    let before = ask(&old).await;
    let (after, also_after) = tokio::join!(ask(&new), ask(&also_new));
    assert_eq!((before.version.as_str(), after.version.as_str()), ("1", "2"));
    assert_eq!(after.pid, also_after.pid, "two clients at once end with one control plane");
    assert!(new.stop().await.unwrap());
}

#[tokio::test]
async fn a_stop_is_over_when_the_process_is() {
    let dir = tempfile::tempdir().unwrap();
    let plane = plane(dir.path(), "1");
    assert!(!plane.is_running().await.unwrap());
    assert!(!plane.stop().await.unwrap(), "nothing was started to be stopped");
    let pid = ask(&plane).await.pid;
    assert!(plane.stop().await.unwrap());
    // Its parent, this process, has not waited for it: what is left of it is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn a_start_that_fails_is_told_with_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    std::fs::write(home.log_file(), "an older failure\n").unwrap();
    let client = Client::new(Endpoint::Unix(home.socket()), "1", None);
    let log = home.log_file();
    let starter = Starter::new(&home, move || {
        let script = "echo 'the port is taken' >> \"$0\"; exit 9";
        Ok(Command::new("sh").arg("-c").arg(script).arg(&log).spawn().unwrap())
    });
    let failed = ControlPlane::local(client, starter).call::<SystemStatus>(&Nothing {}).await;
    let Err(ClientError::Start { log, exit, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(log, ["the port is taken"]);
    assert_eq!(exit, ExitCode::PortInUse);
}

#[tokio::test]
async fn events_come_one_by_one_until_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let plane = plane(dir.path(), "1");
    let mut events = plane.events().await.unwrap();
    for id in [1, 2] {
        let event = events.next().await.unwrap().unwrap();
        assert_eq!((event.id, event.kind.as_str()), (id, "env.created"));
        assert_eq!(event.data["lines"], "one\ntwo");
    }
    assert!(events.next().await.unwrap().is_none());
    assert!(plane.stop().await.unwrap());
}
