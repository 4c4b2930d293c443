//! A copy of each record beside the sandbox's files: with it a lost database loses no sandbox.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use atelier_api::sandbox::SandboxState;

use super::record::Record;

const FILE: &str = "record.json";

/// Makes the copy say what the database says now. The database is what counts: a copy that can't be
/// written is none, so that it never says what was true before.
pub(super) fn follow(folder: &Path, record: &Record) {
    let wanted = !matches!(record.state, SandboxState::Creating | SandboxState::Removing);
    let done = if wanted { keep(folder, record) } else { forget(folder) };
    if let Err(error) = done {
        tracing::warn!(%error, ?folder, "a sandbox has no copy of its record");
        let _ = forget(folder);
    }
}

/// Writes the record down in the sandbox's folder, whole or not at all.
fn keep(folder: &Path, record: &Record) -> io::Result<()> {
    let new = folder.join("record.json.new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    fs::rename(new, folder.join(FILE))
}

/// Takes the record away: from now on the folder is a stray one.
fn forget(folder: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let json = serde_json::json!({
            "id": uuid::Uuid::new_v4(), "name": null, "state": "running", "runtime": "oci",
            "root": crate::Root::Machine, "origin": {"image": null, "template": null, "snapshot": null},
            "options": {"variables": {"TOKEN": "secret"}}, "network": {},
            "policy": atelier_net::Policy::default(), "created_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:00Z", "expires_at": null, "user_home": "/home/ann",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_copy_that_cannot_be_written_is_no_old_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "what was true before").unwrap();
        // What is in the way of the new one: a folder.
        fs::create_dir(dir.path().join("record.json.new")).unwrap();
        follow(dir.path(), &record());
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn variables_of_a_sandbox_are_for_its_owner_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        follow(dir.path(), &record());
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
