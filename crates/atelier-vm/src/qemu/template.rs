//! Warm templates: machines that have booted once, of which sandboxes are copies. A copy answers in
//! a tenth of the time that a boot takes, and shares the memory that it does not change.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_api::sandbox::Rates;

use super::command::{CONSOLE, LAYER, Memory, Request, boot_line, with_word};
use super::qmp::Qmp;
use super::state::{Kept, MEMORY, STATE, State};
use super::{Accelerator, Qemu, READY, wait_console};
use crate::VmError;
use crate::command::Monitor;
use crate::error::Result;
use crate::files;
use crate::kernel::BootFiles;
use crate::layer;
use crate::machine::{Machine, processor};
use crate::saved::Note;

/// Changes when templates of earlier versions of this crate must not be used any more.
const FORMAT: &str = "2";
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// After it serves, a guest has a few things to settle; what it does here no copy has to.
const SETTLE: Duration = Duration::from_millis(300);
/// Its time says when the template was last used.
const USED: &str = "used";

/// The folder of templates. They outlive this process, and are made once, however many ask.
#[derive(Debug, Clone)]
pub struct Templates {
    folder: PathBuf,
    disks: PathBuf,
}

impl Templates {
    /// Templates in `folder`; empty layer disks are kept in `disks`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, disks: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), disks: disks.into() }
    }

    /// The template of machines with this kernel, guest, image, size and layer disk (in bytes), as
    /// this QEMU runs them on this processor. Boots a machine when there is none yet; whoever asks
    /// for the same meanwhile waits.
    ///
    /// # Errors
    /// When the machine does not boot, or the disk is full.
    pub fn get(
        &self,
        qemu: &Qemu,
        accelerator: Accelerator,
        boot: &BootFiles,
        base: &Path,
        layer_size: u64,
        machine: &Machine,
    ) -> Result<State> {
        let size = format!("{machine:?} {layer_size}");
        let words = [FORMAT, &boot.id, &qemu.version_text, accelerator.name(), &processor(), &size];
        let id = files::identity(&words, &[&qemu.program, base])?;
        let folder = self.folder.join(id);
        files::make_once(&folder, |fresh| {
            layer::make(&fresh.join(LAYER), layer_size, &self.disks)?;
            qemu.make_template(accelerator, boot, base, fresh, machine)
        })?;
        drop(File::create(folder.join(USED)));
        State::open(&folder)
    }

    /// Removes what was not used for `unused`, and gives its bytes. Machines that are copies of one
    /// keep its memory until they end.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn prune(&self, unused: Duration) -> Result<u64> {
        files::prune(&self.folder, USED, unused)
    }
}

impl Qemu {
    fn make_template(
        &self,
        accelerator: Accelerator,
        boot: &BootFiles,
        base: &Path,
        dir: &Path,
        machine: &Machine,
    ) -> Result<()> {
        let memory = dir.join(MEMORY);
        let words = self.words(&Request {
            accelerator,
            machine,
            boot: Some((boot, with_word(&boot_line(boot, accelerator, machine), "atelier.warm"))),
            memory: Memory::File(&memory),
            base: Some(base),
            dir,
            link: false,
            rates: Rates::default(),
        });
        let mut monitor = Monitor::start(&words, dir, "monitor.log")?;
        wait_console(&dir.join(CONSOLE), READY, BOOT_LIMIT, || monitor.ended())?;
        std::thread::sleep(SETTLE);
        let mut qmp = Qmp::connect(dir)?;
        // Copies start with a console in memory, and a state holds no console.
        qmp.call("stop", None)?;
        let path = dir.join(STATE);
        let file = File::create(&path).map_err(VmError::io("making", path))?;
        qmp.migrate_to(&file, true)?;
        drop(monitor);
        Note::of(self, accelerator, machine, Kept::File).write(dir)
    }
}
