//! The folder that images are in, and who works in it at the moment.
//!
//! ```text
//! images/
//!   lock                     held shortly: pins against collection
//!   layers/sha256-…/         tree/ (a lower folder for overlays) and layer.json
//!   records/HEX.json         an image: written last, so what it names is there
//!   names/HEX.json           a name, under its own digest: replaced whole
//!   disks/HEX.erofs          a root filesystem for VMs
//!   tmp/SESSION/             what is being made, and pins; swept when its session is gone
//! ```
//!
//! A session is one opened store. It holds a lock on its folder below `tmp/`, which the kernel
//! drops with the process, so what a killed one left is known and removed at the next opening.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};

use crate::settle::Settler;
use crate::{ImageError, Result, StoreOptions};
use atelier_files::below::open_root;
use atelier_files::remove;

/// The images of a home. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub options: StoreOptions,
    root: PathBuf,
    session: PathBuf,
    /// Held while this store is open.
    _session_lock: OwnedFd,
    /// What is being made right now, by name, so that it is made once.
    busy: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    pub http: tokio::sync::OnceCell<crate::registry::Clients>,
    pub settler: Settler,
}

impl ImageStore {
    /// Opens the store in the folder `root`, makes it if it is not there, and sweeps what killed
    /// processes left behind.
    ///
    /// # Errors
    /// [`ImageError::Io`] when the folder can't be made or read.
    pub fn open(root: &Path, options: StoreOptions) -> Result<Self> {
        for folder in ["", "layers", "records", "names", "disks", "tmp"] {
            make_private(&root.join(folder))?;
        }
        let root = std::fs::canonicalize(root).map_err(ImageError::io("reading", root))?;
        let _lock = lock(&root, FlockOperation::LockExclusive)?;
        sweep(&root.join("tmp"));
        let session = root.join("tmp").join(uuid::Uuid::new_v4().simple().to_string());
        make_private(&session)?;
        make_private(&session.join("pins"))?;
        let fd = open_root(&session).map_err(ImageError::io("reading", &session))?;
        flock(&fd, FlockOperation::NonBlockingLockExclusive)
            .map_err(ImageError::io("locking", &session))?;
        let store = Self {
            inner: Arc::new(Inner {
                options,
                root,
                session,
                _session_lock: fd,
                busy: Mutex::default(),
                http: tokio::sync::OnceCell::new(),
                settler: Settler::default(),
            }),
        };
        store.drop_unflushed()?;
        Ok(store)
    }

    /// A path below the store's folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.inner.root.join(below)
    }

    /// Where the store is.
    pub(crate) fn root(&self) -> &Path {
        &self.inner.root
    }

    /// A fresh folder that goes away when it is dropped.
    pub(crate) fn temp(&self) -> Result<Temp> {
        let path = self.inner.session.join(uuid::Uuid::new_v4().simple().to_string());
        make_private(&path)?;
        Ok(Temp(path))
    }

    /// Waits until nobody else in this process makes what `name` names. Other processes may; then
    /// both make it, and the first to be done wins.
    pub(crate) async fn alone(&self, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let mutex = {
            let mut busy = self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.retain(|_, mutex| mutex.strong_count() > 0);
            let known = busy.get(name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let mutex = Arc::default();
                busy.insert(name.to_owned(), Arc::downgrade(&mutex));
                mutex
            })
        };
        mutex.lock_owned().await
    }

    /// The folder with this session's pins.
    pub(crate) fn pins(&self) -> PathBuf {
        self.inner.session.join("pins")
    }

    /// The names that any session pins.
    pub(crate) fn pinned(&self) -> Vec<String> {
        let sessions = std::fs::read_dir(self.path("tmp")).into_iter().flatten().flatten();
        sessions
            .flat_map(|session| std::fs::read_dir(session.path().join("pins")))
            .flatten()
            .flatten()
            .filter_map(|pin| {
                let name = pin.file_name().into_string().ok()?;
                Some(name.split_once('.')?.1.to_owned())
            })
            .collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = remove(&self.session);
    }
}

/// A folder of ours that goes away with this value.
#[derive(Debug)]
pub(crate) struct Temp(PathBuf);

impl Temp {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

/// A folder that only its owner may enter: layers hold setuid programs and others' secrets.
fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(ImageError::io("making", path))
}

/// Held while pins are set or while what nothing pins is moved away; for an instant.
pub(crate) fn lock(root: &Path, operation: FlockOperation) -> Result<OwnedFd> {
    let path = &root.join("lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let fail = ImageError::io::<rustix::io::Errno>;
    let fd = openat(rustix::fs::CWD, path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(fail("opening", path))?;
    rustix::io::retry_on_intr(|| flock(&fd, operation)).map_err(fail("locking", path))?;
    Ok(fd)
}

/// Removes the folders of sessions whose process is gone.
fn sweep(tmp: &Path) {
    for entry in std::fs::read_dir(tmp).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(fd) = open_root(&path) else { continue };
        if flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok()
            && let Err(error) = remove(&path)
        {
            tracing::warn!(%error, "what a killed process left can't be removed");
        }
    }
}
