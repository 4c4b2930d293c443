//! Files: copies that stay sparse, folders that are made once, names made of what they depend on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Whence, lseek64};
use sha2::{Digest as _, Sha256};

use crate::VmError;
use crate::error::Result;

/// A name for what depends on these words and files. Files are told apart by place, size and time.
pub(crate) fn identity(words: &[&str], files: &[&Path]) -> Result<String> {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    for file in files {
        let meta = fs::metadata(file).map_err(VmError::io("reading", *file))?;
        let told = format!("{}\0{}\0{}\0", meta.len(), meta.mtime(), meta.mtime_nsec());
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(told.as_bytes());
    }
    Ok(hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a folder with contents, once, however many ask at the same time: in a folder beside it,
/// which is renamed when it is whole. What an earlier process left half-done is removed.
pub(crate) fn make_once(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    make_private(parent)?;
    let _lock = lock(&with_suffix(folder, ".lock"))?;
    if folder.is_dir() {
        return Ok(());
    }
    let fresh = with_suffix(folder, ".new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(VmError::io("removing", &fresh))?;
    }
    make_private(&fresh)?;
    let filled = fill(&fresh)
        .and_then(|()| fs::rename(&fresh, folder).map_err(VmError::io("naming", folder)));
    if filled.is_err() {
        drop(fs::remove_dir_all(&fresh));
    }
    filled
}

/// Removes the folders in `folder` in which the file `mark` was not written for `unused`; gives the
/// bytes that they took. A folder that is not there holds nothing.
pub(crate) fn prune(folder: &Path, mark: &str, unused: Duration) -> Result<u64> {
    let mut freed = 0;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(0) };
    for folder in entries.flatten().map(|entry| entry.path()) {
        let used = fs::metadata(folder.join(mark)).and_then(|meta| meta.modified());
        let Ok(used) = used else { continue };
        if SystemTime::now().duration_since(used).is_ok_and(|since| since >= unused) {
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            let taken = files.filter_map(|file| file.metadata().ok()).map(|m| m.blocks() * 512);
            let taken: u64 = taken.sum();
            fs::remove_dir_all(&folder).map_err(VmError::io("removing", &folder))?;
            freed += taken;
        }
    }
    Ok(freed)
}

/// Makes a folder that only we may look into.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(VmError::io("making", folder))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Waits until nobody else holds the lock. It ends with the value, or with this process.
fn lock(path: &Path) -> Result<Flock<File>> {
    Flock::lock(lock_file(path)?, FlockArg::LockExclusive)
        .map_err(|(_, error)| VmError::io("locking", path)(error.into()))
}

/// The lock, unless somebody else holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<Flock<File>>> {
    match Flock::lock(lock_file(path)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(VmError::io("locking", path)(error.into())),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(path);
    file.map_err(VmError::io("opening", path))
}

/// Copies a file to a new one: as a clone that shares its blocks where the filesystem can, else
/// only what it holds, so that holes stay holes.
///
/// # Errors
/// When `to` exists, or the disk is full.
pub fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).map_err(VmError::io("opening", from))?;
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let target = target.map_err(VmError::io("making", to))?;
    // SAFETY: both descriptors are open; the request copies no memory.
    if unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONE, source.as_raw_fd()) } == 0 {
        return Ok(());
    }
    let copied = copy_data(&source, &target);
    if copied.is_err() {
        drop(fs::remove_file(to));
    }
    copied.map_err(VmError::io("copying to", to))
}

fn copy_data(source: &File, target: &File) -> io::Result<()> {
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut at = 0;
    while let Some(start) = seek(source, at, Whence::SeekData)? {
        let end = seek(source, start, Whence::SeekHole)?.unwrap_or(length.cast_signed());
        let mut from = start;
        let mut to = start;
        while from < end {
            let most = usize::try_from(end - from).unwrap_or(usize::MAX);
            let copied =
                nix::fcntl::copy_file_range(source, Some(&mut from), target, Some(&mut to), most)?;
            if copied == 0 {
                break;
            }
        }
        at = end;
    }
    Ok(())
}

/// The next data or hole; none behind the last.
fn seek(file: &File, from: i64, what: Whence) -> io::Result<Option<i64>> {
    match lseek64(file, from, what) {
        Ok(at) => Ok(Some(at)),
        Err(nix::errno::Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_was_not_used_for_long_goes_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3600);
        for (name, age) in [("new", Some(Duration::ZERO)), ("old", Some(2 * hour)), ("other", None)]
        {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("memory"), [1; 8192]).unwrap();
            if let Some(age) = age {
                let mark = File::create(dir.path().join(name).join("used")).unwrap();
                mark.set_modified(SystemTime::now() - age).unwrap();
            }
        }
        assert!(prune(dir.path(), "used", hour).unwrap() >= 8192);
        let left = |name: &str| dir.path().join(name).exists();
        assert!(left("new") && !left("old") && left("other"));
        assert_eq!(prune(&dir.path().join("nothing"), "used", hour).unwrap(), 0);
    }

    #[test]
    fn holes_stay_holes_in_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_all_at(b"start", 0).unwrap();
        file.write_all_at(b"middle", 500 << 20).unwrap();
        copy_sparse(&from, &to).unwrap();
        let copy = File::open(&to).unwrap();
        let mut text = [0; 6];
        copy.read_exact_at(&mut text, 500 << 20).unwrap();
        assert_eq!(&text, b"middle");
        let meta = copy.metadata().unwrap();
        assert_eq!(meta.len(), 1 << 30);
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
        assert!(copy_sparse(&from, &to).is_err(), "a file that is there is kept");
    }

    #[test]
    fn fifty_that_race_make_one_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cache/key");
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    make_once(&folder, |fresh| {
                        made.fetch_add(1, Ordering::Relaxed);
                        fs::write(fresh.join("file"), "x").unwrap();
                        Ok(())
                    })
                    .unwrap();
                    assert!(folder.join("file").is_file());
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_folder_that_could_not_be_filled_is_not_there_and_may_be_tried_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("key");
        let failed =
            make_once(&folder, |_| Err(VmError::Helper { program: "x".into(), why: "no".into() }));
        assert!(failed.is_err() && !folder.exists());
        make_once(&folder, |_| Ok(())).unwrap();
        assert!(folder.is_dir());
    }
}
