//! Saved machines: processors, devices and memory in a folder, with the layer disk as it was at
//! the same moment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use atelier_api::sandbox::Rates;
use serde::{Deserialize, Serialize};

use super::command::{LAYER, Memory, Request, forget_last};
use super::qmp::Qmp;
use super::{Accelerator, Qemu};
use crate::VmError;
use crate::command::Monitor;
use crate::error::Result;
use crate::files::copy_sparse;
use crate::machine::Machine;
use crate::saved::{Note, Saved};

/// Processors and devices; and memory, when it is in no file of its own.
pub(super) const STATE: &str = "state";
/// Memory, when it is a file.
pub(super) const MEMORY: &str = "memory";

/// Where a saved machine's memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kept {
    /// Within the stream of its state. Each copy reads it all.
    Stream,
    /// In a file that copies map: they share what they don't change.
    File,
}

/// What is noted of a machine that runs, and of a saved one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBy {
    accelerator: Accelerator,
    memory: Kept,
    /// A state fits the QEMU that saved it.
    qemu: String,
}

/// A saved machine, of which any number of copies can be revived.
pub type State = Saved<RunBy>;

impl Note<RunBy> {
    pub(super) fn of(
        qemu: &Qemu,
        accelerator: Accelerator,
        machine: &Machine,
        memory: Kept,
    ) -> Self {
        let monitor = RunBy { accelerator, memory, qemu: qemu.version_text.clone() };
        Self { machine: machine.clone(), monitor }
    }
}

impl State {
    /// What ran it.
    #[must_use]
    pub fn accelerator(&self) -> Accelerator {
        self.note.monitor.accelerator
    }

    fn shared(&self) -> bool {
        self.note.monitor.memory == Kept::File
    }
}

impl Qemu {
    /// Saves the machine in `dir` into the folder `into`, with its memory and its layer disk. It
    /// stays paused; [`Self::resume`] lets it go on.
    ///
    /// # Errors
    /// When the monitor refuses, or the disk is full.
    pub fn save(&self, dir: &Path, into: &Path) -> Result<State> {
        let mut note = Note::<RunBy>::read(dir)?;
        let mut qmp = Qmp::connect(dir)?;
        qmp.call("stop", None)?;
        let path = into.join(STATE);
        let file = File::create(&path).map_err(VmError::io("making", path))?;
        qmp.migrate_to(&file, false)?;
        copy_sparse(&dir.join(LAYER), &into.join(LAYER))?;
        note.monitor.memory = Kept::Stream;
        note.write(into)?;
        State::open(into)
    }

    /// Puts a saved machine's memory into a file, so that copies of it start sooner and share what
    /// they don't change. Takes about half a second, and pays from the second copy on.
    ///
    /// # Errors
    /// When the state does not fit.
    pub fn seal(&self, state: State, base: &Path) -> Result<State> {
        if state.shared() {
            return Ok(state);
        }
        self.check(&state)?;
        let (folder, note) = (&state.folder, &state.note);
        let memory = folder.join(MEMORY);
        let mut words = self.words(&Request {
            accelerator: note.monitor.accelerator,
            machine: &note.machine,
            boot: None,
            memory: Memory::File(&memory),
            base: Some(base),
            dir: folder,
            link: false,
            rates: Rates::default(),
        });
        words.extend(["-incoming", "defer"].map(OsString::from));
        let mut monitor = Monitor::start(&words, folder, "seal.log")?;
        let mut qmp = Qmp::connect_soon(folder, || monitor.ended())?;
        let stream = folder.join(STATE);
        let read = File::open(&stream).map_err(VmError::io("opening", &stream))?;
        qmp.migrate_from(&read, false).map_err(|error| match monitor.ended() {
            Some(why) => VmError::State { folder: folder.clone(), why },
            None => error,
        })?;
        let fresh = folder.join("state.new");
        let write = File::create(&fresh).map_err(VmError::io("making", &fresh))?;
        qmp.migrate_to(&write, true)?;
        drop(monitor);
        fs::rename(&fresh, &stream).map_err(VmError::io("naming", &stream))?;
        let mut note = note.clone();
        note.monitor.memory = Kept::File;
        note.write(folder)?;
        State::open(folder)
    }

    /// The command that revives a copy of a saved machine in `dir`, an empty folder, held to these rates. Copies the
    /// layer disk there. To be run in `dir` with [`super::LINK`] replaced; then comes
    /// [`Self::wake`].
    ///
    /// # Errors
    /// When the state is of another QEMU, or the disk is full.
    pub fn revive(
        &self,
        state: &State,
        base: &Path,
        dir: &Path,
        rates: Rates,
    ) -> Result<Vec<OsString>> {
        self.check(state)?;
        forget_last(dir)?;
        copy_sparse(&state.folder.join(LAYER), &dir.join(LAYER))?;
        state.note.write(dir)?;
        let memory = state.folder.join(MEMORY);
        let mut words = self.words(&Request {
            accelerator: state.accelerator(),
            machine: &state.note.machine,
            boot: None,
            memory: if state.shared() { Memory::CopyOf(&memory) } else { Memory::Own },
            base: Some(base),
            dir,
            link: true,
            rates,
        });
        words.extend(["-incoming", "defer"].map(OsString::from));
        Ok(words)
    }

    /// Loads the state into the monitor that [`Self::revive`]'s command started in `dir`, and lets
    /// the machine go on.
    ///
    /// # Errors
    /// When the monitor ends, or refuses the state.
    pub fn wake(&self, state: &State, dir: &Path) -> Result<()> {
        let mut qmp = Qmp::connect_soon(dir, || None)?;
        let path = state.folder.join(STATE);
        let file = File::open(&path).map_err(VmError::io("opening", path))?;
        qmp.migrate_from(&file, state.shared())?;
        qmp.call("cont", None).map(drop)
    }

    fn check(&self, state: &State) -> Result<()> {
        state.same_version(&state.note.monitor.qemu, &self.version_text)
    }
}
