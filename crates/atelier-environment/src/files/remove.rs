//! Deleting trees that somebody else filled: unreadable folders, read-only folders, any depth,
//! symlinks to elsewhere, forgotten mounts.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, RenameFlags, chmodat, fstat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::beneath::{join, names, open_dir, open_root, split, stat_at};
use super::entry::{Entry, Kind};
use crate::error::{Error, Result};
use crate::quote::as_path;

/// Deletes a folder and everything in it; returns the bytes that this freed. Follows no symlink
/// and crosses no mount. A folder that is not there is no error.
pub(crate) fn remove_tree(path: &Path) -> Result<u64> {
    let fail = |e: Errno| Error::io("delete", path, e);
    let top = match open_root(path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(0),
        Err(Errno::ACCESS) => {
            chmodat(rustix::fs::CWD, path, Mode::RWXU, AtFlags::empty()).map_err(fail)?;
            open_root(path).map_err(fail)?
        }
        Err(error) => return Err(fail(error)),
    };
    let device = fstat(&top).map_err(fail)?.st_dev;
    let mut remover = Remover { top: top.as_fd(), path, device, freed: 0, lifted: 0 };
    let _ = rustix::fs::fchmod(&top, Mode::RWXU);
    remover.empty(b"")?;
    std::fs::remove_dir(path).map_err(|e| Error::io("delete", path, e))?;
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
    /// Empties the folder at `path` below the top. Folders inside are first moved up to the top
    /// under a name of ours, so that neither paths nor the stack grow with the depth.
    fn empty(&mut self, path: &[u8]) -> Result<()> {
        let mut todo = vec![path.to_vec()];
        while let Some(path) = todo.pop() {
            let dir = open_dir(self.top, &path).map_err(|e| self.fail(&path, e))?;
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
        let entry = Entry::new(join(path, name), &stat);
        if entry.dev != self.device {
            return Err(Error::Mounted { path: self.path.join(as_path(&entry.path)) });
        }
        if entry.kind != Kind::Dir {
            unlinkat(dir, name, AtFlags::empty()).map_err(fail)?;
            if entry.nlink <= 1 {
                self.freed += entry.blocks * 512;
            }
            return Ok(None);
        }
        if entry.mode & 0o700 != 0o700 {
            chmodat(dir, name, Mode::RWXU, AtFlags::empty()).map_err(fail)?;
        }
        if unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(None);
        }
        if path.is_empty() {
            Ok(Some(name.to_vec()))
        } else {
            self.lift(dir, name, &entry).map(Some)
        }
    }

    /// Moves a folder up to the top under a name that is free there.
    fn lift(&mut self, dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<Vec<u8>> {
        loop {
            self.lifted += 1;
            let lifted = format!(".atelier-delete-{}", self.lifted).into_bytes();
            match renameat_with(dir, name, self.top, &lifted, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(lifted),
                Err(Errno::EXIST) => {}
                Err(Errno::BUSY | Errno::XDEV) => {
                    return Err(Error::Mounted { path: self.path.join(as_path(&entry.path)) });
                }
                Err(error) => return Err(self.fail(&entry.path, error)),
            }
        }
    }

    fn unlink_folder(&self, path: &[u8]) -> Result<()> {
        let (parent, name) = split(path);
        let dir = open_dir(self.top, parent).map_err(|e| self.fail(parent, e))?;
        match unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::BUSY) => Err(Error::Mounted { path: self.path.join(as_path(path)) }),
            Err(error) => Err(self.fail(path, error)),
        }
    }

    fn fail(&self, path: &[u8], errno: Errno) -> Error {
        Error::io("delete", &self.path.join(as_path(path)), errno)
    }
}

/// The bytes that a tree takes on the disk, each hard link once. Folders that cannot be read
/// count as nothing.
pub fn disk_usage(path: &Path) -> Result<u64> {
    let scan = super::scan::scan(path, &super::scan::ScanOptions::default())?;
    let mut seen = std::collections::HashSet::new();
    let counted = scan.entries.iter().filter(|e| e.nlink <= 1 || seen.insert((e.dev, e.ino)));
    Ok(counted.map(|e| e.blocks * 512).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn locked_deep_and_linked_trees_go_and_what_is_outside_stays() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(tmp.path().join("keep"), "x").unwrap();
        let victim = tmp.path().join("victim");
        std::fs::create_dir_all(victim.join("work/work/inner")).unwrap();
        std::fs::write(victim.join("work/work/inner/f"), vec![0; 10_000]).unwrap();
        symlink("..", victim.join("out")).unwrap();
        symlink(tmp.path().join("keep"), victim.join("work/keep")).unwrap();
        std::fs::write(victim.join(".atelier-delete-1"), "a name like ours").unwrap();
        std::fs::set_permissions(victim.join("work/work"), PermissionsExt::from_mode(0o000))
            .unwrap();
        let mut deep = victim.clone();
        for _ in 0..60 {
            deep.push("d".repeat(30));
        }
        std::fs::create_dir_all(&deep).unwrap();
        // Deeper than PATH_MAX: the same again, moved below the end of the first.
        let second = tmp.path().join("second");
        let mut inner = second.clone();
        for _ in 0..100 {
            inner.push("e".repeat(30));
        }
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::rename(&second, deep.join("more")).unwrap();

        let freed = remove_tree(&victim).unwrap();
        assert!(!victim.exists() && tmp.path().join("keep").exists());
        assert!(freed >= 10_000, "{freed}");
        assert_eq!(remove_tree(&victim).unwrap(), 0);
    }
}
