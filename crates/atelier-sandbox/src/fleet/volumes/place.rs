//! Where volumes lie on disk: a folder each, with its files in `data` and its record beside them. A
//! volume is whole as long as its record is there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;
use uuid::Uuid;

use crate::SandboxError;

const RECORD: &str = "volume.json";
const DATA: &str = "data";
/// Everybody in a sandbox may write what is shared; the home keeps everybody else of this machine out.
const MODE: u32 = 0o777;

/// A volume as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VolumeRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

/// Where volumes lie.
#[derive(Debug)]
pub(in crate::fleet) struct Volumes {
    folder: PathBuf,
    /// Read by whoever makes a volume or gives one to a sandbox, written by whoever removes them.
    pub(in crate::fleet) held: RwLock<()>,
}

impl Volumes {
    pub(in crate::fleet) fn at(folder: PathBuf) -> Self {
        Self { folder, held: RwLock::default() }
    }

    /// Whether a folder of files belongs to a volume that is whole.
    pub(super) fn is_whole(data: &Path) -> bool {
        data.with_file_name(RECORD).exists()
    }

    fn place(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.to_string())
    }

    pub(super) fn data(&self, id: Uuid) -> PathBuf {
        self.place(id).join(DATA)
    }

    /// Makes the folder; the record comes last.
    pub(super) fn make(&self, row: &VolumeRow) -> Result<(), SandboxError> {
        let (place, data) = (self.place(row.id), self.data(row.id));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&place)
            .map_err(SandboxError::io("making", &place))?;
        fs::create_dir(&data).map_err(SandboxError::io("making", &data))?;
        fs::set_permissions(&data, fs::Permissions::from_mode(MODE))
            .map_err(SandboxError::io("opening", &data))?;
        let write = || {
            let new = place.join("volume.json.new");
            let file = File::create(&new)?;
            serde_json::to_writer(&file, row)?;
            file.sync_all()?;
            fs::rename(&new, place.join(RECORD))
        };
        write().map_err(SandboxError::io("writing", place.join(RECORD)))
    }

    /// Takes the record away: from now on the folder is a stray one.
    pub(super) fn condemn(&self, id: Uuid) -> Result<(), SandboxError> {
        let record = self.place(id).join(RECORD);
        gone(fs::remove_file(&record)).map_err(SandboxError::io("removing", record))
    }

    pub(super) fn erase(&self, id: Uuid) -> Result<(), SandboxError> {
        let place = self.place(id);
        gone(fs::remove_dir_all(&place)).map_err(SandboxError::io("removing", place))
    }

    /// What lies there: ids, with the records of those that are whole.
    pub(super) fn found(&self) -> Vec<(Uuid, Option<VolumeRow>)> {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let read = |folder: fs::DirEntry| {
            let id: Uuid = folder.file_name().to_str()?.parse().ok()?;
            let row = fs::read(folder.path().join(RECORD)).ok();
            let row = row.and_then(|bytes| serde_json::from_slice::<VolumeRow>(&bytes).ok());
            Some((id, row.filter(|row| row.id == id)))
        };
        folders.filter_map(read).collect()
    }
}

fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Bytes on disk below a folder; links are not followed.
pub(super) fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => meta.blocks() * 512 + size(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_record_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::at(dir.path().join("volumes"));
        let row = |name: &str| VolumeRow {
            id: Uuid::new_v4(),
            name: name.into(),
            created_at: Timestamp::now(),
        };
        let (kept, half) = (row("kept"), row("half"));
        volumes.make(&kept).unwrap();
        volumes.make(&half).unwrap();
        volumes.condemn(half.id).unwrap();
        for (id, found) in volumes.found() {
            assert_eq!(found.map(|row| row.name), (id == kept.id).then(|| "kept".to_owned()));
        }
        volumes.erase(half.id).unwrap();
        volumes.erase(half.id).unwrap();
        assert_eq!(volumes.found().len(), 1);
    }
}
