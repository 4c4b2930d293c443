//! Overlay layers read without a mount: what a merged tree holds at a path, by the rules of the
//! kernel's overlayfs (whiteouts are character devices 0/0, opaque folders carry
//! `user.overlay.opaque`; Documentation/filesystems/overlayfs.rst).

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::fgetxattr;
use rustix::io::Errno;

use super::entry::{Entry, Kind};
use crate::error::{Error, Result};
use atelier_files::below::{join, names, open_dir, open_root, read_small, stat_at};

/// The mark of a folder that hides those below it, for mounts with `userxattr`.
const OPAQUE: &str = "user.overlay.opaque";

/// A folder as several layers show it together.
#[derive(Debug)]
pub(crate) struct Merged {
    path: Vec<u8>,
    /// The folder in each layer that takes part, the top first, with the layer's number.
    layers: Vec<(usize, OwnedFd)>,
}

/// A name in a merged folder.
#[derive(Debug)]
pub(crate) enum Node {
    Dir(Merged),
    /// Anything else.
    Leaf(Leaf),
}

/// A path that is no folder: which layer holds it, and what it is. Holds nothing open, because
/// there may be thousands.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub layer: usize,
    pub entry: Entry,
}

impl Merged {
    /// The root of a stack of layers, the top first, each with its number, so that two stacks over
    /// the same layers can be compared.
    pub(crate) fn open<'p>(layers: impl IntoIterator<Item = (usize, &'p Path)>) -> Result<Self> {
        let mut open = Vec::new();
        for (number, layer) in layers {
            let fd = open_root(layer).map_err(|e| Error::io("open", layer, e))?;
            open.push((number, fd));
        }
        Ok(Self { path: Vec::new(), layers: open })
    }

    /// The same, numbered from the top.
    pub(crate) fn of(layers: &[&Path]) -> Result<Self> {
        Self::open(layers.iter().copied().enumerate())
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The number of the top layer that takes part.
    pub(crate) fn top(&self) -> Option<usize> {
        self.layers.first().map(|(number, _)| *number)
    }

    /// Whether both folders show the very same layers, so that nothing can differ.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.layers.iter().map(|l| l.0).eq(other.layers.iter().map(|l| l.0))
    }

    /// Whether this folder is a top layer over exactly the layers of `lower`.
    pub(crate) fn shows_below(&self, lower: &Self) -> bool {
        self.layers.iter().skip(1).map(|l| l.0).eq(lower.layers.iter().map(|l| l.0))
    }

    /// What a name is here; `None` when it is absent or hidden.
    pub(crate) fn child(&self, name: &[u8]) -> Result<Option<Node>, Errno> {
        let path = join(&self.path, name);
        let mut dirs = Vec::new();
        for (layer, fd) in &self.layers {
            let Some(stat) = stat_at(fd.as_fd(), name)? else { continue };
            match Kind::of(&stat) {
                Kind::Dir => {
                    let dir = open_dir(fd.as_fd(), name)?;
                    let opaque = is_opaque(dir.as_fd());
                    dirs.push((*layer, dir));
                    if opaque {
                        break;
                    }
                }
                Kind::Whiteout => break,
                _ if !dirs.is_empty() => break,
                _ => {
                    let entry = Entry::new(path, &stat);
                    return Ok(Some(Node::Leaf(Leaf { layer: *layer, entry })));
                }
            }
        }
        Ok((!dirs.is_empty()).then_some(Node::Dir(Self { path, layers: dirs })))
    }

    /// The names that any layer has here, hidden ones too, sorted, with the topmost layer of each.
    pub(crate) fn names(&self) -> Result<BTreeMap<CString, usize>, Errno> {
        let mut all = BTreeMap::new();
        for (layer, fd) in &self.layers {
            for name in names(fd)? {
                all.entry(name).or_insert(*layer);
            }
        }
        Ok(all)
    }

    /// What a path below this folder is.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<Node>, Errno> {
        let Some(at) = path.iter().position(|b| *b == b'/') else { return self.child(path) };
        match self.child(&path[..at])? {
            Some(Node::Dir(dir)) => dir.find(&path[at + 1..]),
            _ => Ok(None),
        }
    }

    /// Reads a small regular file in this folder.
    pub(crate) fn read_small(&self, name: &[u8], limit: u64) -> Option<Vec<u8>> {
        match self.child(name).ok()?? {
            Node::Leaf(leaf) => {
                let (_, dir) = self.layers.iter().find(|(layer, _)| *layer == leaf.layer)?;
                read_small(dir.as_fd(), name, limit)
            }
            Node::Dir(_) => None,
        }
    }

    /// The same for a path below this folder.
    pub(crate) fn read_below(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        match path.split_once('/') {
            None => self.read_small(path.as_bytes(), limit),
            Some((first, rest)) => match self.child(first.as_bytes()).ok()?? {
                Node::Dir(dir) => dir.read_below(rest, limit),
                Node::Leaf(_) => None,
            },
        }
    }
}

fn is_opaque(dir: BorrowedFd<'_>) -> bool {
    let mut value = [0; 8];
    fgetxattr(dir, OPAQUE, &mut value[..]).is_ok_and(|n| value[..n].starts_with(b"y"))
}
