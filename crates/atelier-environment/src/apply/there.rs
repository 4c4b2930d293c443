//! What stands at the paths of the tree that is to be changed: the project's for an apply, the
//! environment's for a sync. Nothing is written here, and no symlink is followed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::readlinkat;
use rustix::io::Errno;

use crate::changes::side::{GitMode, Layers, Pair, Side, same_contents};
use crate::error::{Error, Result};
use crate::files::entry::{Entry, Kind};
use crate::quote::as_path;
use atelier_files::below::{join, names, open_dir, open_file, open_root, split, stat_at};

/// What the tree has at a path.
pub(crate) enum Now {
    Absent,
    /// A file or symlink.
    Leaf(Entry, GitMode),
    /// A folder, or something that git does not know.
    Other(Obstacle),
}

/// What stands in the way of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Folder,
    Special,
    /// A folder above the path is none.
    Above,
}

/// A tree that is to be changed.
pub(crate) struct There<'a> {
    root: &'a Path,
    fd: OwnedFd,
    /// What the change deletes.
    going: BTreeSet<&'a [u8]>,
}

impl<'a> There<'a> {
    pub(crate) fn open(root: &'a Path, pairs: &'a [Pair]) -> Result<Self> {
        let fd = open_root(root).map_err(|e| Error::io("open", root, e))?;
        let going = pairs.iter().filter(|p| p.new.is_none()).map(|p| p.path.as_slice()).collect();
        Ok(Self { root, fd, going })
    }

    fn fail(&self, path: &[u8], error: impl Into<std::io::Error>) -> Error {
        Error::io("read", &self.root.join(as_path(path)), error)
    }

    /// What is at a path. Folders that the change empties, and that would make way for a file, are
    /// listed in `cleared`.
    pub(crate) fn now(&self, path: &[u8], cleared: &mut Vec<Vec<u8>>) -> Result<Now> {
        let (dir, name) = split(path);
        let dir = match open_dir(self.fd.as_fd(), dir) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Now::Absent),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(self.blocked(path)),
            Err(error) => return Err(self.fail(path, error)),
        };
        let Some(stat) = stat_at(dir.as_fd(), name).map_err(|e| self.fail(path, e))? else {
            return Ok(Now::Absent);
        };
        let entry = Entry::new(path.to_vec(), &stat);
        Ok(match (GitMode::of(&entry), entry.kind) {
            (Some(mode), _) => Now::Leaf(entry, mode),
            (None, Kind::Dir) if self.is_emptied(path, cleared)? => Now::Absent,
            (None, Kind::Dir) => Now::Other(Obstacle::Folder),
            (None, _) => Now::Other(Obstacle::Special),
        })
    }

    /// A folder above the path is none: fine when the change takes away what stands there, or has
    /// nothing there itself.
    fn blocked(&self, path: &[u8]) -> Now {
        let (mut dir, _) = split(path);
        while !dir.is_empty() {
            if self.going.contains(dir) {
                return Now::Absent;
            }
            dir = split(dir).0;
        }
        Now::Other(Obstacle::Above)
    }

    /// Whether everything in a folder is deleted by this change; lists the folder and those in it.
    fn is_emptied(&self, path: &[u8], cleared: &mut Vec<Vec<u8>>) -> Result<bool> {
        cleared.push(path.to_vec());
        let dir = open_dir(self.fd.as_fd(), path).map_err(|e| self.fail(path, e))?;
        for name in names(&dir).map_err(|e| self.fail(path, e))? {
            let inner = join(path, name.to_bytes());
            let stat = stat_at(dir.as_fd(), name.to_bytes()).map_err(|e| self.fail(path, e))?;
            let is_dir = stat.is_some_and(|s| Kind::of(&s) == Kind::Dir);
            let goes = match is_dir {
                true => self.is_emptied(&inner, cleared)?,
                false => self.going.contains(&*inner),
            };
            if !goes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the tree has exactly this.
    pub(crate) fn is(
        &self,
        path: &[u8],
        now: &Now,
        side: Option<&Side>,
        layers: &Layers,
    ) -> Result<bool> {
        let (Now::Leaf(entry, mode), Some(side)) = (now, side) else {
            return Ok(matches!(now, Now::Absent) && side.is_none());
        };
        if *mode != side.mode || entry.size != side.leaf.entry.size {
            return Ok(false);
        }
        if mode.is_link() {
            return Ok(self.read(path, *mode)? == layers.read(side)?);
        }
        let mut ours = self.file(path)?;
        let mut theirs = layers.file(side)?;
        same_contents(&mut ours, &mut theirs).map_err(|e| self.fail(path, e))
    }

    pub(crate) fn file(&self, path: &[u8]) -> Result<File> {
        let (dir, name) = split(path);
        let dir = open_dir(self.fd.as_fd(), dir).map_err(|e| self.fail(path, e))?;
        Ok(open_file(dir.as_fd(), name).map_err(|e| self.fail(path, e))?.into())
    }

    /// The bytes of a file, or the target of a symlink.
    pub(crate) fn read(&self, path: &[u8], mode: GitMode) -> Result<Vec<u8>> {
        if mode.is_link() {
            let (dir, name) = split(path);
            let dir = open_dir(self.fd.as_fd(), dir).map_err(|e| self.fail(path, e))?;
            let target = readlinkat(&dir, name, Vec::new()).map_err(|e| self.fail(path, e))?;
            return Ok(target.into_bytes());
        }
        let mut bytes = Vec::new();
        self.file(path)?.read_to_end(&mut bytes).map_err(|e| self.fail(path, e))?;
        Ok(bytes)
    }
}

/// The pairs whose outcome a tree has not got yet.
pub(crate) fn missing<'p>(
    root: &Path,
    layers: &Layers,
    pairs: Vec<&'p Pair>,
) -> Result<Vec<&'p Pair>> {
    let there = There::open(root, &[])?;
    let mut missing = Vec::new();
    for pair in pairs {
        let now = there.now(&pair.path, &mut Vec::new())?;
        if !there.is(&pair.path, &now, pair.new.as_ref(), layers)? {
            missing.push(pair);
        }
    }
    Ok(missing)
}
