//! Deleting trees that somebody else filled: unreadable folders, read-only folders, any depth,
//! symlinks to elsewhere, forgotten mounts.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, chmodat, fstat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::below::{join, names, open_dir_here, open_root, split, stat_at};

/// Why a tree is still there.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Something is mounted in it, which is not ours to delete.
    #[error("{} can't be deleted: something is mounted there", .path.display())]
    Mounted {
        /// The mount.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("{} can't be deleted: {source}", .path.display())]
    Io {
        /// What is still there.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RemoveError {
    /// What is still there.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Mounted { path } | Self::Io { path, .. } => path,
        }
    }
}

impl From<RemoveError> for io::Error {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Mounted { .. } => Errno::BUSY.into(),
            RemoveError::Io { source, .. } => source,
        }
    }
}

type Result<T> = std::result::Result<T, RemoveError>;

/// Deletes a file, or a folder and everything in it; returns the bytes that this freed. Follows no
/// symlink and crosses no mount. What is not there is no error.
///
/// # Errors
/// The first thing that could not be deleted; what was deleted before it is gone.
pub fn remove(path: &Path) -> Result<u64> {
    let fail = |source| RemoveError::Io { path: path.to_owned(), source };
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(fail(error)),
    };
    if !meta.is_dir() {
        fs::remove_file(path).map_err(fail)?;
        return Ok(if meta.nlink() > 1 { 0 } else { meta.blocks() * 512 });
    }
    if meta.mode() & 0o700 != 0o700 {
        let _ = chmodat(rustix::fs::CWD, path, Mode::RWXU, AtFlags::empty());
    }
    let top = open_root(path).map_err(|errno| fail(errno.into()))?;
    let freed = empty(&top, path)?;
    fs::remove_dir(path).map_err(fail)?;
    Ok(freed)
}

/// Deletes everything in an open folder; `path` is its name in errors.
///
/// # Errors
/// As [`remove`].
pub fn empty(top: impl AsFd, path: &Path) -> Result<u64> {
    let top = top.as_fd();
    let fail = |errno: Errno| RemoveError::Io { path: path.to_owned(), source: errno.into() };
    let device = fstat(top).map_err(fail)?.st_dev;
    let mut remover = Remover { top, path, device, freed: 0, lifted: 0 };
    remover.empty()?;
    Ok(remover.freed)
}

struct Remover<'a> {
    top: BorrowedFd<'a>,
    path: &'a Path,
    device: u64,
    freed: u64,
    /// How many folders were moved up to the top.
    lifted: u64,
}

impl Remover<'_> {
    /// Folders are first moved up to the top under a name of ours, so that neither paths nor the
    /// stack grow with the depth.
    fn empty(&mut self) -> Result<()> {
        let mut todo = vec![Vec::new()];
        while let Some(path) = todo.pop() {
            let dir = open_dir_here(self.top, &path).map_err(|e| self.fail(&path, e))?;
            for name in names(&dir).map_err(|e| self.fail(&path, e))? {
                let name = name.to_bytes();
                let ours = path.is_empty() && todo.iter().any(|t| t == name);
                if !ours && let Some(lifted) = self.one(dir.as_fd(), &path, name)? {
                    todo.push(lifted);
                }
            }
            if !path.is_empty() {
                self.unlink_folder(&path)?;
            }
        }
        Ok(())
    }

    /// Deletes a name, or moves it to the top when it is a folder and returns its name there.
    fn one(&mut self, dir: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>> {
        let fail = |e| self.fail(&join(path, name), e);
        let Some(stat) = stat_at(dir, name).map_err(fail)? else { return Ok(None) };
        if stat.st_dev != self.device {
            return Err(fail(Errno::XDEV));
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            unlinkat(dir, name, AtFlags::empty()).map_err(fail)?;
            if stat.st_nlink <= 1 {
                self.freed += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            }
            return Ok(None);
        }
        if stat.st_mode & 0o700 != 0o700 {
            chmodat(dir, name, Mode::RWXU, AtFlags::empty()).map_err(fail)?;
        }
        if unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(None);
        }
        if path.is_empty() {
            return Ok(Some(name.to_vec()));
        }
        self.lift(dir, path, name).map(Some)
    }

    /// Moves a folder up to the top under a name that is free there.
    fn lift(&mut self, dir: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Vec<u8>> {
        loop {
            self.lifted += 1;
            let lifted = format!(".atelier-delete-{}", self.lifted).into_bytes();
            match renameat_with(dir, name, self.top, &lifted, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(lifted),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(self.fail(&join(path, name), error)),
            }
        }
    }

    fn unlink_folder(&self, path: &[u8]) -> Result<()> {
        let (parent, name) = split(path);
        let dir = open_dir_here(self.top, parent).map_err(|e| self.fail(parent, e))?;
        match unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.fail(path, error)),
        }
    }

    fn fail(&self, path: &[u8], errno: Errno) -> RemoveError {
        let path = self.path.join(OsStr::from_bytes(path));
        match errno {
            Errno::BUSY | Errno::XDEV => RemoveError::Mounted { path },
            errno => RemoveError::Io { path, source: errno.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn locked_deep_and_linked_trees_go_and_what_is_outside_stays() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join("keep"), "x").unwrap();
        let victim = tmp.path().join("victim");
        fs::create_dir_all(victim.join("locked/deeper/inner")).unwrap();
        fs::write(victim.join("locked/deeper/inner/f"), vec![0; 10_000]).unwrap();
        symlink("..", victim.join("out")).unwrap();
        symlink(tmp.path().join("keep"), victim.join("locked/keep")).unwrap();
        fs::write(victim.join(".atelier-delete-1"), "a name like ours").unwrap();
        fs::set_permissions(victim.join("locked/deeper"), PermissionsExt::from_mode(0o000))
            .unwrap();
        let mut deep = victim.clone();
        for _ in 0..60 {
            deep.push("d".repeat(30));
        }
        fs::create_dir_all(&deep).unwrap();
        // Deeper than PATH_MAX: the same again, moved below the end of the first.
        let second = tmp.path().join("second");
        fs::create_dir_all(second.join(vec!["e".repeat(30); 100].join("/"))).unwrap();
        fs::rename(&second, deep.join("more")).unwrap();

        let freed = remove(&victim).unwrap();
        assert!(!victim.exists() && tmp.path().join("keep").exists());
        assert!(freed >= 10_000, "{freed}");
        assert_eq!(remove(&victim).unwrap(), 0);
    }

    #[test]
    fn a_symlink_goes_and_what_it_leads_to_stays() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("there")).unwrap();
        symlink("there", tmp.path().join("link")).unwrap();
        remove(&tmp.path().join("link")).unwrap();
        assert!(tmp.path().join("there").exists() && !tmp.path().join("link").exists());
    }
}
