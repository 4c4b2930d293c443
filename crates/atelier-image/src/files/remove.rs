//! Deleting trees that somebody else filled: unreadable folders, read-only folders, any depth,
//! symlinks to elsewhere.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, chmodat, fstat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::beneath::{join, names, open_root, open_straight, split, stat_at};
use super::marks::kind;
use crate::ImageError;

type Result<T, E = Errno> = std::result::Result<T, E>;

/// Deletes a file or a folder and everything in it; returns the bytes that this freed. Follows no
/// symlink and crosses no mount. What is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<u64, ImageError> {
    let fail = ImageError::io::<Errno>;
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(ImageError::io("removing", path)(error)),
    };
    if !meta.is_dir() {
        use std::os::unix::fs::MetadataExt;
        std::fs::remove_file(path).map_err(ImageError::io("removing", path))?;
        return Ok(if meta.nlink() > 1 { 0 } else { meta.blocks() * 512 });
    }
    let _ = chmodat(rustix::fs::CWD, path, Mode::RWXU, AtFlags::empty());
    let top = open_root(path).map_err(fail("removing", path))?;
    let freed = empty(&top).map_err(fail("removing", path))?;
    std::fs::remove_dir(path).map_err(ImageError::io("removing", path))?;
    Ok(freed)
}

/// Deletes everything in an open folder.
pub(crate) fn empty(top: impl AsFd) -> Result<u64> {
    let top = top.as_fd();
    let device = fstat(top)?.st_dev;
    let mut remover = Remover { top, device, freed: 0, lifted: 0 };
    remover.empty()?;
    Ok(remover.freed)
}

struct Remover<'a> {
    top: BorrowedFd<'a>,
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
            let dir = open_straight(self.top, &path)?;
            for name in names(&dir)? {
                let name = name.to_bytes();
                let ours = path.is_empty() && todo.iter().any(|t| t == name);
                if !ours && let Some(lifted) = self.one(dir.as_fd(), &path, name)? {
                    todo.push(lifted);
                }
            }
            if !path.is_empty() {
                let (parent, name) = split(&path);
                unlinkat(open_straight(self.top, parent)?, name, AtFlags::REMOVEDIR)?;
            }
        }
        Ok(())
    }

    /// Deletes a name, or moves it to the top when it is a folder and returns its name there.
    fn one(&mut self, dir: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(stat) = stat_at(dir, name)? else { return Ok(None) };
        if stat.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        if kind(&stat) != FileType::Directory {
            unlinkat(dir, name, AtFlags::empty())?;
            if stat.st_nlink <= 1 {
                self.freed += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            }
            return Ok(None);
        }
        if stat.st_mode & 0o700 != 0o700 {
            chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
        }
        if unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(None);
        }
        if path.is_empty() {
            return Ok(Some(name.to_vec()));
        }
        self.lift(dir, name).map(Some)
    }

    /// Moves a folder up to the top under a name that is free there.
    fn lift(&mut self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>> {
        loop {
            self.lifted += 1;
            let lifted = format!(".atelier-delete-{}", self.lifted).into_bytes();
            match renameat_with(dir, name, self.top, &lifted, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(join(b"", &lifted)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }
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
        std::fs::set_permissions(victim.join("work/work"), PermissionsExt::from_mode(0o000))
            .unwrap();
        let mut deep = victim.clone();
        for _ in 0..60 {
            deep.push("d".repeat(30));
        }
        std::fs::create_dir_all(&deep).unwrap();
        // Deeper than PATH_MAX: the same again, moved below the end of the first.
        let second = tmp.path().join("second");
        std::fs::create_dir_all(second.join(vec!["e".repeat(30); 100].join("/"))).unwrap();
        std::fs::rename(&second, deep.join("more")).unwrap();

        let freed = remove(&victim).unwrap();
        assert!(!victim.exists() && tmp.path().join("keep").exists());
        assert!(freed >= 10_000, "{freed}");
        assert_eq!(remove(&victim).unwrap(), 0);
    }
}
