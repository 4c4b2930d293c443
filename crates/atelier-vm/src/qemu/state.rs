//! Saved machines: processors, devices and memory in a folder, with the layer disk as it was at
//! the same moment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use atelier_api::sandbox::Rates;
use serde::{Deserialize, Serialize};

use super::changes::{self, CHANGES};
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
/// Memory, when it is a file; also in the folder of a machine that began with it.
pub(super) const MEMORY: &str = "memory";
/// What a monitor writes its devices to, in its own folder.
const DEVICES: &str = "devices.new";
/// A state begins with these bytes, the version of its format in the last four.
const HEAD: &[u8] = b"QEVM\0\0\0\x03";
/// What a state has that was made for a migration, and one of devices alone lacks: the name of the machine's
/// kind before all devices, and behind them a description of itself, which may be empty
/// (`migration/savevm.c`).
const KIND: &[u8] = b"\x07\0\0\0\x07microvm";
const DESCRIPTION: &[u8] = b"\x06\0\0\0\x02{}";

/// Where a saved machine's memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kept {
    /// Within the stream of its state. Each copy reads it all.
    Stream,
    /// In a file that copies map: they share what they don't change.
    File,
    /// In the file that the machine began with, but for what it changed.
    Changes,
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
        note.monitor.memory = match save_changes(&mut qmp, dir, into) {
            Ok(()) => Kept::Changes,
            Err(error) => {
                tracing::debug!(%error, "all of a machine's memory is saved");
                for name in [MEMORY, CHANGES, STATE] {
                    drop(fs::remove_file(into.join(name)));
                }
                let path = into.join(STATE);
                let file = File::create(&path).map_err(VmError::io("making", path))?;
                qmp.migrate_to(&file, false)?;
                Kept::Stream
            }
        };
        copy_sparse(&dir.join(LAYER), &into.join(LAYER))?;
        note.write(into)?;
        State::open(into)
    }

    /// Puts a saved machine's memory into a file, so that copies of it start sooner and share what
    /// they don't change. Takes about half a second, and pays from the second copy on.
    ///
    /// # Errors
    /// When the state does not fit.
    pub fn seal(&self, state: State, base: &Path) -> Result<State> {
        if state.note.monitor.memory != Kept::Stream {
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
        let own = state.note.monitor.memory == Kept::Stream;
        if !own {
            // By it a copy of this machine will know what changed. Without it all is saved.
            drop(fs::hard_link(&memory, dir.join(MEMORY)));
        }
        let mut words = self.words(&Request {
            accelerator: state.accelerator(),
            machine: &state.note.machine,
            boot: None,
            memory: if own { Memory::Own } else { Memory::CopyOf(&memory) },
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
        if state.note.monitor.memory == Kept::Changes {
            let (memory, file) = (state.folder.join(MEMORY), state.folder.join(CHANGES));
            changes::bring(qmp.peer()?, &memory, &file).map_err(VmError::io("bringing", file))?;
        }
        let path = state.folder.join(STATE);
        let file = File::open(&path).map_err(VmError::io("opening", path))?;
        qmp.migrate_from(&file, state.shared())?;
        qmp.call("cont", None).map(drop)
    }

    fn check(&self, state: &State) -> Result<()> {
        state.same_version(&state.note.monitor.qemu, &self.version_text)
    }
}

/// Saves devices and changed memory only. That takes a machine which began with a memory in a file, and a
/// kernel that lets us look into its monitor.
fn save_changes(qmp: &mut Qmp, dir: &Path, into: &Path) -> Result<()> {
    let (memory, file) = (dir.join(MEMORY), into.join(CHANGES));
    changes::keep(qmp.peer()?, &memory, &file).map_err(VmError::io("writing", file))?;
    let kept = into.join(MEMORY);
    fs::hard_link(&memory, &kept).map_err(VmError::io("linking", kept))?;
    let devices = dir.join(DEVICES);
    drop(fs::remove_file(&devices));
    qmp.devices_to(DEVICES)?;
    let read = fs::read(&devices).map_err(VmError::io("reading", &devices))?;
    drop(fs::remove_file(&devices));
    let rest = read.strip_prefix(HEAD).ok_or_else(|| VmError::State {
        folder: dir.to_owned(),
        why: "its devices are in a format that is not known".to_owned(),
    })?;
    let whole = [HEAD, KIND, rest, DESCRIPTION].concat();
    let path = into.join(STATE);
    fs::write(&path, whole).map_err(VmError::io("writing", path))
}
