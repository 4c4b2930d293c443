//! Saved machines: processors, devices and memory in a folder, with the layer disk as it was at the
//! same moment; and templates, which are saved machines that have only booted.
//!
//! A machine names its files as its monitor sees them, and a copy goes on with the same names. They
//! are relative ones here, so every copy finds its own files in its own folder or jail.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{getegid, geteuid};
use serde::{Deserialize, Serialize};

use super::api::Load;
use super::{Api, Firecracker};
use crate::VmError;
use crate::error::Result;
use crate::files::{self, copy_sparse};
use crate::kernel::BootFiles;
use crate::machine::{Machine, processor};
use crate::saved::{Note, Saved};

/// The layer disk, in a machine's folder and in that of a saved one.
pub const LAYER: &str = "layer";
/// Processors and devices, in the folder of a saved machine and of those that go on from it.
pub const STATE: &str = "state";
/// Memory, there too.
pub const MEMORY: &str = "memory";
/// What a monitor is asked to write. Other names than those that it may have read its own machine
/// from: that memory is still in use.
const SAVED: [(&str, &str); 2] = [("saved.state", STATE), ("saved.memory", MEMORY)];
/// Changes when templates of earlier versions of this crate must not be used any more.
const FORMAT: &str = "1";
/// Its time says when the template was last used.
const USED: &str = "used";

/// What is noted of a saved machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBy {
    /// A state fits the Firecracker that saved it.
    firecracker: String,
}

/// A saved machine, of which any number of copies can go on.
pub type State = Saved<SavedBy>;

impl State {
    /// That this Firecracker can go on from it.
    ///
    /// # Errors
    /// When another one saved it.
    pub fn fits(&self, firecracker: &Firecracker) -> Result<()> {
        self.same_version(&self.note.monitor.firecracker, firecracker.version())
    }

    /// What a new monitor loads that finds [`STATE`], [`MEMORY`] and its disks in its folder under
    /// the names that they had. Memory is a private mapping of the file: what is not written to is
    /// shared by all copies.
    #[must_use]
    pub fn load() -> Load {
        Load::file(STATE, MEMORY)
    }

    /// Saves a paused machine, whose monitor runs in the folder or jail `dir` and whose layer disk
    /// is the file `layer`, into the folder `into` of the same filesystem. It stays paused.
    ///
    /// # Errors
    /// When the monitor refuses, or the disk is full.
    pub async fn save(
        firecracker: &Firecracker,
        machine: &Machine,
        dir: &Path,
        layer: &Path,
        into: &Path,
    ) -> Result<Self> {
        for (name, _) in SAVED {
            // Of a save that was cut off; the monitor would not shorten it.
            drop(fs::remove_file(dir.join(name)));
        }
        let [(state, _), (memory, _)] = SAVED;
        let api = Api::new(dir.join(super::SOCKET));
        api.save(state, memory, false).await?;
        let monitor = SavedBy { firecracker: firecracker.version().to_owned() };
        let note = Note { machine: machine.clone(), monitor };
        let (dir, layer, to) = (dir.to_owned(), layer.to_owned(), into.to_owned());
        let keep = move || {
            for (name, kept) in SAVED {
                take(&dir.join(name), &to.join(kept))?;
            }
            copy_sparse(&layer, &to.join(LAYER))?;
            note.write(&to)?;
            Ok(Self { folder: to, note })
        };
        let folder = into.to_owned();
        tokio::task::spawn_blocking(keep)
            .await
            .unwrap_or_else(|error| Err(VmError::State { folder, why: error.to_string() }))
    }
}

/// Takes a file that a monitor wrote away from it. What lies there is the monitor's choice until
/// then: it is looked at only afterwards, and no link is followed.
fn take(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(VmError::io("taking over", from))?;
    let meta = fs::symlink_metadata(to).map_err(VmError::io("reading", to))?;
    if !meta.is_file() {
        drop(fs::remove_file(to));
        let why = format!("the monitor left no file as {}", from.display());
        return Err(VmError::Machine { what: "was not saved", why });
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    lchown(to, Some(uid), Some(gid)).map_err(VmError::io("taking over", to))?;
    fs::set_permissions(to, Permissions::from_mode(0o400)).map_err(VmError::io("closing", to))
}

/// Machines that have booted once, for each kernel, image and size. They outlive this process.
#[derive(Debug, Clone)]
pub struct Templates {
    folder: PathBuf,
}

impl Templates {
    /// Templates in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The name of the template of machines with this kernel, guest, image, size and layer disk (in
    /// bytes), as this Firecracker runs them on this processor.
    ///
    /// # Errors
    /// When the image can't be read.
    pub fn name(
        firecracker: &Firecracker,
        boot: &BootFiles,
        base: &Path,
        layer_size: u64,
        machine: &Machine,
    ) -> Result<String> {
        let size = format!("{machine:?} {layer_size}");
        let words = [FORMAT, &boot.id, firecracker.version(), &processor(), &size];
        files::identity(&words, &[firecracker.program(), base])
    }

    /// Removes what was not used for `unused`, and gives its bytes. Machines that are copies of one
    /// keep its memory until they end.
    ///
    /// # Errors
    /// When a folder can't be removed.
    pub fn prune(&self, unused: Duration) -> Result<u64> {
        files::prune(&self.folder, USED, unused)
    }

    /// The template of that name, if it was made.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<State> {
        let state = State::open(&self.folder.join(name)).ok()?;
        drop(File::create(state.folder.join(USED)));
        Some(state)
    }

    /// An empty folder to save a template into; none when somebody makes it at the moment, or it is
    /// there. It becomes the template by [`Making::done`], and else goes.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn begin(&self, name: &str) -> Result<Option<Making>> {
        let folder = self.folder.join(name);
        if folder.is_dir() {
            return Ok(None);
        }
        files::make_private(&self.folder)?;
        let Some(lock) = files::try_lock(&folder.with_extension("lock"))? else { return Ok(None) };
        if folder.is_dir() {
            return Ok(None);
        }
        let fresh = folder.with_extension("new");
        drop(fs::remove_dir_all(&fresh));
        files::make_private(&fresh)?;
        Ok(Some(Making { folder, fresh, _lock: lock }))
    }
}

/// A template that is being made.
#[derive(Debug)]
pub struct Making {
    folder: PathBuf,
    fresh: PathBuf,
    _lock: nix::fcntl::Flock<File>,
}

impl Making {
    /// Where to save it.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.fresh
    }

    /// It is whole.
    ///
    /// # Errors
    /// When it can't get its name.
    pub fn done(self) -> Result<()> {
        fs::rename(&self.fresh, &self.folder).map_err(VmError::io("naming", &self.folder))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // After `done` there is nothing of that name.
        drop(fs::remove_dir_all(&self.fresh));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_that_a_monitor_left_is_no_saved_memory_and_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, jail) = (dir.path().join("secret"), dir.path().join("saved.memory"));
        fs::write(&secret, "secret").unwrap();
        let mode = fs::metadata(&secret).unwrap().permissions().mode();
        symlink(&secret, &jail).unwrap();
        let kept = dir.path().join("memory");
        let error = take(&jail, &kept).unwrap_err();
        assert!(error.to_string().contains("left no file"), "{error}");
        assert!(!kept.is_symlink());
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode(), mode);
        fs::write(&jail, "memory").unwrap();
        take(&jail, &kept).unwrap();
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn a_template_is_made_by_one_at_a_time_and_is_there_whole_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let templates = Templates::new(dir.path().join("templates"));
        let making = templates.begin("one").unwrap().unwrap();
        assert!(templates.begin("one").unwrap().is_none(), "somebody makes it");
        drop(making);
        let making = templates.begin("one").unwrap().unwrap();
        let machine = Machine { cpus: 1, memory_mib: 64, port: 1, mtu: 1500 };
        let note = Note { machine, monitor: SavedBy { firecracker: "v1".into() } };
        note.write(making.place()).unwrap();
        assert!(templates.get("one").is_none());
        making.done().unwrap();
        assert_eq!(templates.get("one").unwrap().machine(), &note.machine);
        assert!(templates.begin("one").unwrap().is_none(), "it is there");
    }
}
