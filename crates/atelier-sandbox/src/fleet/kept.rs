//! A copy of each record beside the sandbox's files: with it a lost database loses no sandbox.

use std::fs;
use std::io;
use std::path::Path;

use super::record::Record;

const FILE: &str = "record.json";

/// Writes the record down in the sandbox's folder, whole or not at all.
pub(super) fn keep(folder: &Path, record: &Record) -> io::Result<()> {
    let new = folder.join("record.json.new");
    fs::write(&new, serde_json::to_vec(record)?)?;
    fs::rename(new, folder.join(FILE))
}

/// Takes the record away: from now on the folder is a stray one.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every record that lies in a folder below `sandboxes`.
pub(super) fn all(sandboxes: &Path) -> Vec<Record> {
    let folders = fs::read_dir(sandboxes).into_iter().flatten().flatten();
    folders.filter_map(|folder| read(&folder.path())).collect()
}

fn read(folder: &Path) -> Option<Record> {
    let bytes = fs::read(folder.join(FILE)).ok()?;
    let record: Record = serde_json::from_slice(&bytes)
        .inspect_err(|error| tracing::error!(%error, ?folder, "a sandbox's record can't be read"))
        .ok()?;
    let ours = folder.file_name().is_some_and(|name| name.to_str() == Some(&record.id.to_string()));
    ours.then_some(record)
}
