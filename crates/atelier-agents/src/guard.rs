//! The lock that Claude Code takes before it writes its own file while it runs: a folder of the file's
//! name and `.lock` (npm's proper-lockfile). With it neither loses what the other writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::error::{AgentError, Result};
use crate::file::behind_links;

/// After that long without a sign of life a lock belongs to nobody (proper-lockfile's `stale`).
const STALE: Duration = Duration::from_secs(10);
/// How long somebody else's is waited for.
const PATIENCE: Duration = Duration::from_secs(12);
const STEP: Duration = Duration::from_millis(50);

/// Holds the lock as long as it lives.
#[derive(Debug)]
pub(crate) struct Guard(PathBuf);

impl Guard {
    /// Takes the lock of a file; none is needed where the file's folder is not there yet.
    pub fn take(file: &Path) -> Result<Option<Self>> {
        // Where the file is a link, the lock is beside what it leads to.
        let file = &behind_links(file)?;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock = file.with_file_name(name);
        let mut waited = Duration::ZERO;
        loop {
            match fs::create_dir(&lock) {
                Ok(()) => return Ok(Some(Self(lock))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(AgentError::file("locked", file, e));
                }
                Err(_) if waited >= PATIENCE => {
                    return Err(AgentError::Busy { path: file.to_owned() });
                }
                Err(_) if is_stale(&lock) => {
                    let _ = fs::remove_dir(&lock);
                }
                Err(_) => {}
            }
            sleep(STEP);
            waited += STEP;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn is_stale(lock: &Path) -> bool {
    let modified = fs::metadata(lock).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > STALE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_nobody_holds_any_more_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".claude.json");
        let lock = folder.path().join(".claude.json.lock");
        fs::create_dir(&lock).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        fs::File::open(&lock).unwrap().set_modified(long_ago).unwrap();
        let guard = Guard::take(&file).unwrap();
        assert!(lock.is_dir());
        drop(guard);
        assert!(!lock.exists());
    }
}
