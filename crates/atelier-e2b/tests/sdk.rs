//! E2B's own Python SDK, unmodified, against the API: the release that its test-suite is of, and a
//! newer one. They come from PyPI into a virtual environment in cargo's folder for tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use support::{KEY, Server};
use tokio::process::Command;

/// How long an installation, or a walk, may take.
const LIMIT: Duration = Duration::from_secs(240);

async fn succeed(command: &mut Command, hint: &str) -> String {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} takes too long"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {hint}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}\n{hint}", output.status);
    out.into_owned()
}

/// The Python of an environment with this release of the SDK.
async fn python(version: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("e2b-{version}"));
    let (python, done) = (home.join("bin/python"), home.join("installed"));
    if !done.exists() {
        let hint = "install python3 and python3-venv (apt install python3-venv)";
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), hint).await;
        let hint = "is PyPI reachable?";
        let package = format!("e2b=={version}");
        let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", &package];
        succeed(Command::new(&python).args(pip), hint).await;
        std::fs::write(done, "").unwrap();
    }
    python
}

async fn walk(version: &str) {
    let python = python(version).await;
    let server = Server::start().await;
    server.door.world.lock().unwrap().with_base();
    let url = format!("http://{}", server.address);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/walk.py");
    let mut command = Command::new(python);
    command.arg(script).env("E2B_API_KEY", KEY).env("E2B_API_URL", &url);
    command.env("E2B_SANDBOX_URL", &url).env_remove("E2B_DEBUG").env_remove("E2B_DOMAIN");
    assert_eq!(succeed(&mut command, "").await.trim(), "walked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_release_of_the_test_suite_works() {
    walk("2.45.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_tested_release_works() {
    walk("2.63.0").await;
}
