//! One look at a project for all who ask at the same time: a hundred environments created at once
//! need no hundred walks over the same files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::files::scan::{Scan, ScanOptions, scan};

/// The scans of one project. One that began before a caller asked may have missed what the caller
/// did just before; so a caller only takes a scan that began after it came.
#[derive(Debug, Default)]
struct Slot {
    /// How many scans have begun.
    begun: u64,
    running: bool,
    /// The last scan that succeeded, and its number.
    last: Option<(u64, Arc<Scan>)>,
    waiting: usize,
}

/// A project, and what is left out of it.
type Key = (PathBuf, Vec<(u64, u64)>, Option<String>);

#[derive(Debug, Default)]
pub(crate) struct SharedScans {
    slots: Mutex<HashMap<Key, Slot>>,
    finished: Condvar,
}

static SCANS: std::sync::LazyLock<SharedScans> = std::sync::LazyLock::new(SharedScans::default);

impl SharedScans {
    /// Scans `root`, or shares a scan that began after this call with others.
    pub(crate) fn scan(root: &Path, options: &ScanOptions) -> Result<Arc<Scan>> {
        let policy = options.policy.as_ref().map(|policy| policy.key.clone());
        let key = (root.to_owned(), options.exclude.clone(), policy);
        SCANS.get(&key, || scan(root, options))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &Key, make: impl Fn() -> Result<Scan>) -> Result<Arc<Scan>> {
        let mut slots = self.lock();
        let slot = slots.entry(key.clone()).or_default();
        slot.waiting += 1;
        let after = slot.begun;
        let result = loop {
            let slot = slots.entry(key.clone()).or_default();
            if let Some((number, scan)) = &slot.last
                && *number > after
            {
                break Ok(scan.clone());
            }
            if slot.running {
                slots = self.finished.wait(slots).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            slot.begun += 1;
            slot.running = true;
            let number = slot.begun;
            drop(slots);
            let made = make().map(Arc::new);
            slots = self.lock();
            let slot = slots.entry(key.clone()).or_default();
            slot.running = false;
            if let Ok(scan) = &made {
                slot.last = Some((number, scan.clone()));
            }
            self.finished.notify_all();
            break made;
        };
        let slot = slots.entry(key.clone()).or_default();
        slot.waiting -= 1;
        if slot.waiting == 0 {
            slots.remove(key);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn many_callers_share_few_scans_and_none_gets_an_old_one() {
        let tmp = tempfile::tempdir().unwrap();
        let (scans, made) = (SharedScans::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..50 {
                let (scans, made, tmp) = (&scans, &made, &tmp);
                scope.spawn(move || {
                    std::fs::write(tmp.path().join(n.to_string()), "").unwrap();
                    let seen = scans
                        .get(&(tmp.path().to_owned(), Vec::new(), None), || {
                            made.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(std::time::Duration::from_millis(20));
                            scan(tmp.path(), &ScanOptions::default())
                        })
                        .unwrap();
                    let mine = n.to_string().into_bytes();
                    assert!(seen.entries.iter().any(|e| e.path == mine), "{n} is missing");
                });
            }
        });
        assert!(made.load(Ordering::Relaxed) < 25, "{made:?} scans for 50 callers");
        assert!(scans.lock().is_empty());
    }
}
