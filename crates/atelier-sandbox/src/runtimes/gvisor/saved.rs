//! Processes and memory of a sandbox, saved by `runsc checkpoint`, and let go on. Its files are its
//! layer's, and frozen by whoever asked, as long as its processes stand still.
//!
//! ```text
//! image/         what runsc wrote
//! config.json    the bundle's
//! guest          the program that runs as its first process
//! ```

use std::path::{Path, PathBuf};

use super::bundle::{Bundle, link};
use super::runsc::{Named, Runsc};
use crate::runtime::Target;
use crate::{Cgroup, SandboxError};

/// Says in a sandbox's folder that its processes may stand still within gVisor's kernel.
const HELD: &str = "held";

/// Until gVisor's kernel has read the resets, which cross a device of this machine: far longer than it takes.
const ARRIVAL: std::time::Duration = std::time::Duration::from_millis(30);

/// Where `runsc` notes what runs.
pub(super) fn state(folder: &Path) -> PathBuf {
    folder.join("runsc")
}

/// The container's name.
pub(super) fn name(target_id: uuid::Uuid) -> String {
    target_id.simple().to_string()
}

/// A state that was saved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved<'a>(pub(super) &'a Path);

impl Saved<'_> {
    pub(super) fn image(self) -> PathBuf {
        self.0.join("image")
    }

    pub(super) fn config(self) -> PathBuf {
        self.0.join("config.json")
    }

    pub(super) fn guest(self) -> PathBuf {
        self.0.join("guest")
    }
}

/// Saves a paused sandbox. Its kernel has to run for that, so it is its processes that are held in
/// there, before this machine lets them go on; afterwards all of it is frozen again.
pub(super) async fn save(
    runsc: &Runsc,
    target: Target<'_>,
    into: &Path,
) -> Result<(), SandboxError> {
    let Some(running) = target.running else { return Err(unsavable("nothing runs in it")) };
    let (folder, into) = (target.folders.root(), Saved(into));
    let bundle = Bundle::of(folder);
    let image = into.image();
    std::fs::create_dir(&image).map_err(SandboxError::io("making", &image))?;
    // A copy: the sandbox's own is written again when it starts again.
    std::fs::copy(bundle.config(), into.config())
        .map_err(SandboxError::io("copying", bundle.config()))?;
    link(&bundle.guest(), &into.guest())?;
    let mark = folder.join(HELD);
    std::fs::write(&mark, "").map_err(SandboxError::io("writing", &mark))?;
    frozen(&running.cgroup, false).await?;
    let (state, id) = (state(folder), name(target.spec.id));
    let sandbox = Named { state: &state, id: &id };
    let saved = async {
        runsc.pause(&sandbox).await?;
        cut(target.folders.network()).await?;
        runsc.checkpoint(&sandbox, &image).await
    };
    let saved = saved.await;
    frozen(&running.cgroup, true).await?;
    saved.map_err(|why| unsavable(&why))
}

/// Whether the processes of the sandbox in this folder may be held.
pub(super) fn is_held(folder: &Path) -> bool {
    folder.join(HELD).exists()
}

/// Breaks off every connection over the network, from outside. Where gVisor itself does that as it
/// saves, a process that waits for one with `epoll` comes up with an `epoll` that tells nothing any more
/// (seen with the release of July 2024); a reset that arrives is an end like any other.
async fn cut(network: PathBuf) -> Result<(), String> {
    let cut = tokio::task::spawn_blocking(move || atelier_net::control::cut(&network)).await;
    let cut = cut.map_err(|error| error.to_string())?;
    cut.map_err(|error| format!("connections can't be broken off: {error}"))?;
    tokio::time::sleep(ARRIVAL).await;
    Ok(())
}

/// Lets a sandbox go on whose processes may be held.
pub(super) async fn release(runsc: &Runsc, target: Target<'_>) -> Result<(), SandboxError> {
    let folder = target.folders.root();
    let mark = folder.join(HELD);
    let (state, id) = (state(folder), name(target.spec.id));
    let gone_on = runsc.resume(&Named { state: &state, id: &id }).await;
    gone_on.map_err(|why| super::failed(&format!("it does not go on: {why}")))?;
    std::fs::remove_file(&mark).map_err(SandboxError::io("removing", mark))
}

/// What begins anew is not held.
pub(super) fn forget_held(folder: &Path) {
    // One that is not there needs no removing.
    let _ = std::fs::remove_file(folder.join(HELD));
}

async fn frozen(cgroup: &Cgroup, frozen: bool) -> Result<(), SandboxError> {
    let cgroup = cgroup.clone();
    let done = tokio::task::spawn_blocking(move || cgroup.set_frozen(frozen)).await;
    done.unwrap_or_else(|e| Err(SandboxError::io("freezing", "")(std::io::Error::other(e))))
}

fn unsavable(why: &str) -> SandboxError {
    SandboxError::Unsavable { runtime: "gvisor", why: why.to_owned(), remedy: None }
}
