//! Stopping every process of a group where it is, and letting them go on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Cgroup, v2, write};
use crate::SandboxError;

/// How long the kernel may take: a process that waits for a disk is stopped when that is over.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_micros(200);

impl Cgroup {
    /// Lets processes go on that may be stopped; without waiting.
    pub(crate) fn thaw(&self) -> std::io::Result<()> {
        for dir in &self.dirs {
            for (file, word) in [("cgroup.freeze", "0"), ("freezer.state", "THAWED")] {
                if dir.join(file).exists() {
                    fs::write(dir.join(file), word)?;
                }
            }
        }
        Ok(())
    }

    /// Stops all processes, or lets them go on, and waits until they have.
    ///
    /// # Errors
    /// [`SandboxError::Limit`] where this machine has no freezer for us, [`SandboxError::Io`] when
    /// the kernel refuses or takes longer than ten seconds.
    pub fn set_frozen(&self, frozen: bool) -> Result<(), SandboxError> {
        for dir in &self.dirs {
            if dir.join("cgroup.freeze").exists() {
                write(dir, "cgroup.freeze", if frozen { "1" } else { "0" })?;
                return wait(dir, || {
                    v2::keyed(&dir.join("cgroup.events"), "frozen") == Some(u64::from(frozen))
                });
            }
            if dir.join("freezer.state").exists() {
                let state = if frozen { "FROZEN" } else { "THAWED" };
                return wait(dir, || {
                    // Written again each time: a process that was being born is missed by the first.
                    let _ = fs::write(dir.join("freezer.state"), state);
                    fs::read_to_string(dir.join("freezer.state")).is_ok_and(|s| s.trim() == state)
                });
            }
        }
        Err(SandboxError::Limit {
            what: "running (a pause)",
            why: "there is no control group with a freezer for it".into(),
            remedy: "run 'atelier doctor' to see how control groups can be had".into(),
        })
    }
}

fn wait(dir: &Path, done: impl Fn() -> bool) -> Result<(), SandboxError> {
    let until = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > until {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Err(SandboxError::io("freezing", dir)(late));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
