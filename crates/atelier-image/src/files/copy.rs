//! Copying a tree with everything that a layer needs: owners, modes, attributes, hard links,
//! holes, whiteouts. Shares blocks where the filesystem can. Follows no symlink.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, Stat, linkat, mkdirat};
use rustix::io::Errno;

use super::copy_one::Hands;
use super::marks::kind;
use crate::ImageError;
use atelier_files::below::{join, names, open_dir_here, open_root, stat_at};

type Result<T, E = Errno> = std::result::Result<T, E>;

/// Whose tree it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An overlay layer of ours: whiteouts and opaque marks are kept, devices too.
    Layer,
    /// Anybody's files: marks would lie, and devices are left out below `dev/`, refused elsewhere.
    Files,
}

/// Copies everything in `from` into the empty folder `to`, with the metadata of `from` itself.
pub(crate) fn copy_tree(from: &Path, to: &Path, origin: Origin) -> Result<(), ImageError> {
    let source = open_root(from).map_err(ImageError::io("reading", from))?;
    let target = open_root(to).map_err(ImageError::io("making", to))?;
    let mut copy = Copy {
        source,
        target,
        hands: Hands::new(origin),
        links: HashMap::new(),
        folders: Vec::new(),
    };
    copy.all().map_err(|(path, error)| {
        use std::os::unix::ffi::OsStrExt;
        let path = from.join(std::ffi::OsStr::from_bytes(&path));
        match error {
            Errno::NODEV => {
                ImageError::invalid(path.display().to_string(), "it is a device outside of /dev")
            }
            error => ImageError::io("copying", path)(error),
        }
    })
}

type Failure = (Vec<u8>, Errno);

struct Copy {
    source: OwnedFd,
    target: OwnedFd,
    hands: Hands,
    /// The first copied name of a file with several, by its inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Folders with their metadata, which is set last, the deepest first.
    folders: Vec<(Vec<u8>, Stat)>,
}

impl Copy {
    fn all(&mut self) -> Result<(), Failure> {
        let stat = rustix::fs::fstat(&self.source).map_err(|e| (Vec::new(), e))?;
        self.folders.push((Vec::new(), stat));
        let mut todo = vec![Vec::new()];
        while let Some(path) = todo.pop() {
            self.folder(&path, &mut todo)?;
        }
        for (path, stat) in std::mem::take(&mut self.folders).into_iter().rev() {
            self.folder_metadata(&path, &stat).map_err(|e| (path, e))?;
        }
        Ok(())
    }

    fn folder(&mut self, path: &[u8], todo: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let fail = |e| (path.to_vec(), e);
        let from = match open_dir_here(self.source.as_fd(), path) {
            Ok(from) => from,
            // It went away meanwhile, or something is mounted there.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
            Err(error) => return Err(fail(error)),
        };
        let to = open_dir_here(self.target.as_fd(), path).map_err(fail)?;
        for name in names(&from).map_err(fail)? {
            let whole = join(path, name.to_bytes());
            let done = self.name(from.as_fd(), to.as_fd(), name.to_bytes(), &whole);
            if done.map_err(|e| (whole.clone(), e))? {
                todo.push(whole);
            }
        }
        Ok(())
    }

    /// Copies one name. Whether it is a folder, to be looked into.
    fn name(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<bool> {
        let Some(stat) = stat_at(from, name)? else { return Ok(false) };
        if kind(&stat) == FileType::Directory {
            mkdirat(to, name, Mode::RWXU)?;
            self.folders.push((path.to_vec(), stat));
            return Ok(true);
        }
        let inode = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.links.get(&inode)
            && linkat(&self.target, first.as_slice(), to, name, AtFlags::empty()).is_ok()
        {
            return Ok(false);
        }
        let copied = self.hands.one(from, to, name, path, &stat)?;
        if copied && stat.st_nlink > 1 {
            self.links.insert(inode, path.to_vec());
        }
        Ok(false)
    }

    fn folder_metadata(&self, path: &[u8], stat: &Stat) -> Result<()> {
        let to = open_dir_here(self.target.as_fd(), path)?;
        match open_dir_here(self.source.as_fd(), path) {
            Ok(from) => self.hands.metadata(from.as_fd(), to.as_fd(), stat),
            Err(_) => Ok(()),
        }
    }
}
