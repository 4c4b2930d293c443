//! A saved machine as every monitor's driver has one: a folder, and the note in it that says what the
//! machine is. What else lies in the folder, and how it is revived, is the driver's.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::VmError;
use crate::error::Result;
use crate::machine::Machine;

const NOTE: &str = "machine.json";

/// What a machine is, as a file in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note<M> {
    pub(crate) machine: Machine,
    /// What the monitor's driver must know beside.
    #[serde(flatten)]
    pub(crate) monitor: M,
}

impl<M: Serialize> Note<M> {
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NOTE);
        let text = serde_json::to_vec(self).unwrap_or_default();
        fs::write(&path, text).map_err(VmError::io("writing", path))
    }
}

impl<M: DeserializeOwned> Note<M> {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NOTE);
        let text = fs::read(&path).map_err(VmError::io("reading", path))?;
        serde_json::from_slice(&text)
            .map_err(|error| VmError::State { folder: folder.to_owned(), why: error.to_string() })
    }
}

/// A saved machine, of which any number of copies can go on.
#[derive(Debug, Clone)]
pub struct Saved<M> {
    pub(crate) folder: PathBuf,
    pub(crate) note: Note<M>,
}

impl<M: DeserializeOwned> Saved<M> {
    /// What saving a machine, or a template, left in a folder.
    ///
    /// # Errors
    /// When there is nothing of the kind.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), note: Note::read(folder)? })
    }
}

impl<M> Saved<M> {
    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the machine is.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.note.machine
    }

    /// That the monitor of this version can go on from it, by the version that saved it.
    pub(crate) fn same_version(&self, saved_by: &str, this: &str) -> Result<()> {
        if saved_by == this {
            return Ok(());
        }
        let why = format!("it was saved by {saved_by}, and this is {this}");
        Err(VmError::State { folder: self.folder.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Version {
        monitor: String,
    }

    #[test]
    fn a_note_is_one_table_and_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine { cpus: 1, memory_mib: 64, port: 1, mtu: 1500 };
        let note = Note { machine, monitor: Version { monitor: "v1".into() } };
        note.write(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(NOTE)).unwrap();
        assert!(text.ends_with(r#","monitor":"v1"}"#), "{text}");
        let saved = Saved::<Version>::open(dir.path()).unwrap();
        assert_eq!(saved.note, note);
        saved.same_version("v1", "v1").unwrap();
        let error = saved.same_version("v1", "v2").unwrap_err();
        assert!(error.to_string().contains("saved by v1, and this is v2"), "{error}");
    }
}
