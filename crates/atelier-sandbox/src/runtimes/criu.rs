//! CRIU, which saves processes of this machine's kernel: where it is, whether it works here, and
//! having it save. The work is done by `atelier-guest save` and the launcher.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use atelier_launch::criu::{Answer, Criu, Request, SaveRequest};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{Running, SandboxError};

/// It takes a fifth of a second.
const LIMIT: Duration = Duration::from_secs(10);
/// How long saving may take; a sandbox of many gigabytes is written in that time.
const SAVE_LIMIT: Duration = Duration::from_secs(600);
/// CRIU on this machine.
#[derive(Debug)]
pub(super) struct Place {
    /// A program, or a folder with an unpacked distribution that it lies in.
    asked: Option<PathBuf>,
    works: OnceLock<Result<Criu, String>>,
}

impl Place {
    pub(super) fn new(asked: Option<&Path>) -> Self {
        Self { asked: asked.map(Path::to_owned), works: OnceLock::new() }
    }

    /// What saves processes here, or why nothing does; tried once.
    pub(super) fn usable(&self) -> Result<&Criu, &String> {
        self.works.get_or_init(|| self.look()).as_ref()
    }

    fn look(&self) -> Result<Criu, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("CRIU, which could save them, needs root".into());
        }
        let found = self.find().ok_or_else(|| match &self.asked {
            Some(asked) => format!("CRIU, which saves them, is not at {}", asked.display()),
            None => {
                "CRIU, which could save them, is used where sandboxes.criu names it (package criu)"
                    .to_owned()
            }
        })?;
        check(&found).map(|()| found)
    }

    fn find(&self) -> Option<Criu> {
        let slash = PathBuf::from("/");
        match &self.asked {
            Some(root) if root.is_dir() => ["usr/sbin/criu", "usr/bin/criu", "sbin/criu"]
                .into_iter()
                .find(|program| root.join(program).is_file())
                .map(|program| Criu { root: root.clone(), program: slash.join(program) }),
            Some(program) => {
                program.is_file().then(|| Criu { root: slash, program: program.clone() })
            }
            None => None,
        }
    }
}

/// Whether it finds that it works with this kernel.
fn check(criu: &Criu) -> Result<(), String> {
    let mut command = of_root(criu);
    command.arg("check").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let cannot = |why: String| format!("of CRIU, which could save them, {why}");
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => cannot("the loader is missing".into()),
        _ => cannot(format!("'criu check' can't be run: {error}")),
    })?;
    let until = std::time::Instant::now() + LIMIT;
    while matches!(child.try_wait(), Ok(None)) {
        if std::time::Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(cannot("'criu check' does not end".into()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = child.wait_with_output().map_err(|error| cannot(error.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    Err(cannot(format!("'criu check' says: {}", first(&done.stderr))))
}

/// The program with the libraries of its own distribution.
fn of_root(criu: &Criu) -> std::process::Command {
    if criu.root == Path::new("/") {
        return std::process::Command::new(&criu.program);
    }
    let inside = |path: &str| criu.root.join(path);
    let mut command = std::process::Command::new(inside("lib64/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(inside("usr/lib/x86_64-linux-gnu"));
    command.arg(criu.root.join(criu.program.strip_prefix("/").unwrap_or(&criu.program)));
    command
}

/// The first thing that it says; what follows comes from that.
fn first(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("nothing, and fails").to_owned()
}

/// Saves the processes of a frozen sandbox into an empty folder. It goes on for a moment before
/// that, to close its connections, and is frozen in the end.
pub(super) async fn save(
    criu: &Criu,
    guest: &Path,
    running: &Running,
    into: &Path,
) -> Result<(), SandboxError> {
    let init = running.instance.init.pid;
    freeze(running, false).await?;
    let parked = ask(guest, &Request::Park(init)).await;
    freeze(running, true).await?;
    parked?;
    let request = SaveRequest {
        criu: criu.clone(),
        init,
        cgroups: running.cgroup.dirs.clone(),
        into: into.to_owned(),
        parent: std::process::id(),
    };
    ask(guest, &Request::Save(request)).await
}

async fn freeze(running: &Running, frozen: bool) -> Result<(), SandboxError> {
    let cgroup = running.cgroup.clone();
    let done = tokio::task::spawn_blocking(move || cgroup.set_frozen(frozen)).await;
    done.unwrap_or_else(|e| Err(SandboxError::io("freezing", "")(std::io::Error::other(e))))
}

/// Asks the helper, which finishes what it has begun whatever becomes of us.
async fn ask(guest: &Path, request: &Request) -> Result<(), SandboxError> {
    let failed = |reason: &dyn std::fmt::Display| refused(reason.to_string(), None);
    let input = serde_json::to_vec(request).map_err(|e| failed(&e))?;
    let mut child = Command::new(guest)
        .arg("save")
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(SandboxError::io("running", guest))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&input).await.map_err(|e| failed(&e))?;
    }
    let output = tokio::time::timeout(SAVE_LIMIT, child.wait_with_output())
        .await
        .map_err(|_| failed(&"it has not finished within ten minutes"))?
        .map_err(|e| failed(&e))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::Failed(error)) => {
            let remedy = (!error.hints.is_empty()).then(|| error.hints.join("; "));
            Err(refused(error.to_string(), remedy))
        }
        Err(_) => Err(failed(&format!("the helper ended with {}", output.status))),
    }
}

pub(super) fn refused(why: String, remedy: Option<String>) -> SandboxError {
    SandboxError::Unsavable { runtime: "oci", why, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_why() {
        let said = "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds\nError: more\n";
        assert_eq!(
            first(said.as_bytes()),
            "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds"
        );
        assert_eq!(first(b"\n"), "nothing, and fails");
    }

    #[test]
    fn it_is_found_where_the_settings_say() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Place::new(Some(dir.path())).find().is_none());
        std::fs::create_dir_all(dir.path().join("usr/sbin")).unwrap();
        std::fs::write(dir.path().join("usr/sbin/criu"), "").unwrap();
        let found = Place::new(Some(dir.path())).find().unwrap();
        assert_eq!((found.root.as_path(), found.program), (dir.path(), "/usr/sbin/criu".into()));
        assert!(Place::new(Some(Path::new("/no/such/criu"))).find().is_none());
    }
}
