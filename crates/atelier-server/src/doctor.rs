//! The doctor: what this machine has and lacks, and what Atelier keeps on it. One part asks the
//! control plane; the other works when it can't start.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use atelier_api::system::{Check, Verdict};
use atelier_api::{ExitCode, Fault, Problem};
use atelier_config::Home;
use atelier_store::{Store, StoreError, quarantine};

use crate::app::App;

/// Every check, with the state at hand; mends what can be mended when asked.
pub(crate) async fn check(app: &App, fix: bool) -> Result<Vec<Check>, Problem> {
    let mut checks =
        vec![ok("control plane", &format!("{} serves {}", app.build, app.home.display()))];
    checks.extend(app.workshop.probe().await);
    checks.push(home(&app.home));
    if fix {
        let mended = app.workshop.reconcile().await?;
        let verdict = if mended.is_empty() { Verdict::Ok } else { Verdict::Fixed };
        let detail = if mended.is_empty() { "nothing stray".to_owned() } else { mended.join("; ") };
        checks.push(Check { verdict, ..ok("leftovers", &detail) });
    } else {
        checks.push(app.workshop.leftovers().await?);
    }
    checks.extend(app.workshop.services_check(fix).await);
    Ok(checks)
}

/// What can be said without a control plane.
#[must_use]
pub fn offline(home_folder: &Home) -> Vec<Check> {
    let mut checks: Vec<Check> = atelier_run::probe_machine();
    checks.push(home(home_folder.root()));
    checks.push(database(home_folder));
    checks
}

fn database(home: &Home) -> Check {
    let path = home.database();
    if !path.exists() {
        return ok("database", "none yet");
    }
    match wait(Store::open(&path)) {
        Ok(Ok(_)) => ok("database", "sound"),
        Ok(Err(error)) => Check {
            verdict: Verdict::Failed,
            remedy: error.hints().into_iter().next(),
            fixable: matches!(error, StoreError::Corrupt { .. }),
            ..ok("database", &error.to_string())
        },
        Err(problem) => Check { verdict: Verdict::Failed, ..ok("database", &problem.detail) },
    }
}

/// Mends what keeps the control plane from starting: a damaged database is moved aside, and the
/// environments are read back from their folders. For callers without an asynchronous runtime.
///
/// # Errors
/// When the file can't be moved, or the new one can't be written.
pub fn repair(home: &Home) -> Result<Vec<Check>, Problem> {
    let path = home.database();
    if !path.exists() {
        return Ok(vec![ok("database", "none yet")]);
    }
    match wait(Store::open(&path))? {
        Ok(_) => Ok(vec![ok("database", "sound")]),
        Err(StoreError::Corrupt { .. }) => {
            let aside = quarantine(&path).map_err(|e| {
                let detail = format!("{} can't be moved aside: {e}", path.display());
                Problem::new("store.quarantine", ExitCode::Failed, detail)
            })?;
            let restored = wait(restore(home))??;
            let detail = format!(
                "it was damaged; it is at {} now, and {restored} environments were read back",
                aside.display()
            );
            Ok(vec![Check { verdict: Verdict::Fixed, ..ok("database", &detail) }])
        }
        Err(other) => Err(other.into()),
    }
}

async fn restore(home: &Home) -> Result<usize, Problem> {
    let store = Store::open(&home.database()).await?;
    let restored = atelier_run::restore(home, &store).await;
    store.close().await;
    restored
}

/// Runs a future to its end, for callers from the command line.
fn wait<T>(future: impl Future<Output = T>) -> Result<T, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| {
        Problem::new("internal", ExitCode::Failed, format!("no runtime can be made: {e}"))
    })?;
    Ok(runtime.block_on(future))
}

fn home(path: &Path) -> Check {
    let Ok(found) = std::fs::metadata(path) else {
        return Check {
            verdict: Verdict::Warning,
            remedy: Some("it is made when it is needed".into()),
            ..ok("home", &format!("{} is not there yet", path.display()))
        };
    };
    if !found.is_dir() {
        return Check {
            verdict: Verdict::Failed,
            remedy: Some("point ATELIER_HOME at a folder".into()),
            ..ok("home", &format!("{} is not a folder", path.display()))
        };
    }
    if found.mode() & 0o077 != 0 {
        return Check {
            verdict: Verdict::Warning,
            remedy: Some(format!("chmod 700 {}", path.display())),
            ..ok("home", &format!("{} can be read by other users", path.display()))
        };
    }
    match nix::sys::statvfs::statvfs(path) {
        Ok(disk) if disk.blocks_available() * disk.fragment_size() < 512 << 20 => Check {
            verdict: Verdict::Warning,
            remedy: Some("free some space: environments need room for what they change".into()),
            ..ok("home", &format!("less than 512 MiB are free at {}", path.display()))
        },
        _ => ok("home", &path.display().to_string()),
    }
}

fn ok(name: &str, detail: &str) -> Check {
    Check {
        name: name.into(),
        verdict: Verdict::Ok,
        detail: detail.into(),
        remedy: None,
        fixable: false,
    }
}
