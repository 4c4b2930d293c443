//! Files that are there whole or not at all, whatever ends the process that writes them: written
//! beside, flushed to the disk, renamed.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

/// For its owner's eyes only.
pub const PRIVATE: u32 = 0o600;

/// Puts a file in the place of one that may be there. When this returns it is on the disk.
///
/// # Errors
/// The kernel's; then the old file is as it was.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let fresh = beside(path, bytes, mode)?;
    fresh.as_file().sync_all()?;
    fresh.persist(path).map_err(|error| error.error)?;
    flush_folder(path)
}

/// The same without waiting for the disk, for what can be made again: after a loss of power the
/// old file, the new one or an empty one may be there.
///
/// # Errors
/// As [`replace`].
pub fn replace_soon(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    beside(path, bytes, mode)?.persist(path).map(drop).map_err(|error| error.error)
}

/// Makes a file that is not there yet. When another process was faster, its file stays, and the
/// answer is `false`.
///
/// # Errors
/// The kernel's.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let fresh = beside(path, bytes, mode)?;
    fresh.as_file().sync_all()?;
    match fresh.persist_noclobber(path) {
        Ok(_) => flush_folder(path).map(|()| true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Makes a folder that only its owner may look into, with those above it; fine when it is there.
///
/// # Errors
/// The kernel's.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes renames in the folder of a file last.
///
/// # Errors
/// The kernel's.
pub fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut fresh = tempfile::Builder::new().prefix(".new-").tempfile_in(folder(path))?;
    // Set, not asked for at the making: the process's mask does not count.
    fresh.as_file().set_permissions(Permissions::from_mode(mode))?;
    fresh.write_all(bytes)?;
    Ok(fresh)
}

/// A file's bytes; nothing when there is none.
///
/// # Errors
/// The kernel's, but for a file that is not there.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_stays_beside() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("f");
        fs::write(&path, "old").unwrap();
        replace(&path, b"new", PRIVATE).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        replace_soon(&path, b"newer", 0o644).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"newer".to_vec(), 0o644));
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_that_create_one_file_one_wins() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("key");
        let wins: usize = std::thread::scope(|scope| {
            let racer = |n: u8| {
                scope.spawn({
                    let path = &path;
                    move || usize::from(create(path, &[n; 4096], PRIVATE).unwrap())
                })
            };
            let racers: Vec<_> = (0..20).map(racer).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 4096 && bytes.iter().all(|b| *b == bytes[0]));
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cant_be_written_leaves_the_old_file() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().join("f");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("kept"), "x").unwrap();
        assert!(replace(&folder, b"new", PRIVATE).is_err());
        assert!(folder.join("kept").exists());
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1);
        assert!(replace(&tmp.path().join("no/such"), b"x", PRIVATE).is_err());
        assert_eq!(read(&tmp.path().join("none")).unwrap(), None);
    }
}
