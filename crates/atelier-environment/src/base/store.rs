//! The folder of a project's generations: finding the newest, locking, building one whole.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::project::Project;
use atelier_config::Home;

/// The prefix of what is being made.
pub(crate) const NEW: &str = ".new-";
/// The prefix of what is being deleted.
pub(crate) const OLD: &str = ".old-";

/// All generations of one project.
#[derive(Debug)]
pub(crate) struct Bases {
    pub dir: PathBuf,
}

/// A generation in use: it is not removed while this lives.
#[derive(Debug)]
pub(crate) struct Generation {
    pub name: String,
    pub dir: PathBuf,
    _lock: File,
}

impl Generation {
    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    pub(crate) fn manifest(&self) -> Result<Manifest> {
        Manifest::read(&self.dir.join("manifest"))
    }

    /// Records that the environment in `layer_dir` stands on this generation for as long as that
    /// folder exists.
    pub(crate) fn pin(&self, layer_dir: &Path) -> Result<()> {
        let bytes = layer_dir.as_os_str().as_bytes();
        let path = self.dir.join("users").join(hex(bytes));
        std::fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
    }
}

/// A number that no other thread of this process gets.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The first 16 hex digits of a hash.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// Makes a folder and those above it. Others on this machine have no business in copies of
/// projects, whatever the modes inside.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::io("create", path, e))
}

/// Opens a folder or file and locks it; `None` when another holds it and we may not wait.
pub(crate) fn locked(path: &Path, how: FlockOperation) -> Result<Option<File>> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    loop {
        return match flock(&file, how) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(Error::io("lock", path, error)),
        };
    }
}

/// What tells one run of the kernel from the next.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

impl Bases {
    pub(crate) fn open(home: &Home, project: &Project) -> Result<Self> {
        let dir = home.bases().join(project.id());
        make_dir(&dir)?;
        let root = dir.join("root");
        if !root.exists() {
            std::fs::write(&root, project.root.as_os_str().as_bytes())
                .map_err(|e| Error::io("write", &root, e))?;
        }
        Ok(Self { dir })
    }

    /// The lock that one holds while making a generation.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.dir.join("lock");
        let made = File::options().create(true).append(true).open(&path);
        made.map_err(|e| Error::io("write", &path, e))?;
        loop {
            if let Some(lock) = locked(&path, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    /// The numbers of the generations that were copied from the project, the newest first.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>> {
        let listing = std::fs::read_dir(&self.dir).map_err(|e| Error::io("read", &self.dir, e))?;
        let names = listing.flatten().map(|e| e.file_name());
        let mut numbers: Vec<u64> = names.filter_map(|n| n.to_str()?.parse().ok()).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    /// The newest generation that can be trusted.
    pub(crate) fn newest(&self) -> Result<Option<Generation>> {
        for number in self.numbers()? {
            if let Some(generation) = self.get(&format!("{number:08}"))? {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }

    /// A generation by name, locked for use; `None` when there is none, or when the machine went
    /// down before its contents were on the disk.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Generation>> {
        let dir = self.dir.join(name);
        let lock = match locked(&dir, FlockOperation::LockShared) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(None),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // It may have been renamed away for deletion before we got the lock.
        let same = match (lock.metadata(), dir.metadata()) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
            _ => false,
        };
        let made = std::fs::read_to_string(dir.join("made")).ok();
        let safe = dir.join("synced").exists() || made.is_some_and(|m| m == boot_id());
        Ok((same && safe).then(|| Generation { name: name.to_owned(), dir, _lock: lock }))
    }

    /// Builds a generation: `fill` makes `tree` (and a manifest) in a temporary folder, which gets
    /// its name when it is whole.
    pub(crate) fn build<T>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<T>,
    ) -> Result<(Generation, T)> {
        let new = self.dir.join(format!("{NEW}{}", unique()));
        make_dir(&new.join("users"))?;
        let result = self.build_in(&new, name, fill);
        if result.is_err() {
            let _ = atelier_files::remove(&new);
        }
        result
    }

    fn build_in<T>(
        &self,
        new: &Path,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<T>,
    ) -> Result<(Generation, T)> {
        // Held to the end, so that a cleaning process can tell us from a dead one.
        let Some(lock) = locked(new, FlockOperation::LockExclusive)? else {
            return Err(Error::Exists { what: format!("{}", new.display()) });
        };
        let value = fill(new)?;
        let made = new.join("made");
        std::fs::write(&made, boot_id()).map_err(|e| Error::io("write", &made, e))?;
        let dir = self.dir.join(name);
        std::fs::rename(new, &dir).map_err(|e| Error::io("create", &dir, e))?;
        flock(&lock, FlockOperation::LockShared).map_err(|e| Error::io("lock", &dir, e))?;
        sync_later(dir.clone());
        Ok((Generation { name: name.to_owned(), dir, _lock: lock }, value))
    }
}

/// Writing hundreds of megabytes through to the disk takes longer than copying them, and only a
/// power failure makes a difference; so it happens behind the back, and until it is done the
/// generation counts only until the next boot.
fn sync_later(dir: PathBuf) {
    std::thread::spawn(move || {
        let Ok(fd) = File::open(&dir) else { return };
        if rustix::fs::syncfs(fd.as_fd()).is_ok() {
            let _ = File::create(dir.join("synced"));
        }
    });
}
