//! One tree from layers, as an overlay would show it, without mounting anything: folders are made
//! anew, everything else is a hard link to its layer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, fstat, linkat, mkdirat};
use rustix::io::Errno;

use crate::ImageError;
use crate::files::copy::Origin;
use crate::files::copy_one::Hands;
use crate::files::marks::{is_opaque, is_whiteout, kind};
use atelier_files::below::{join, names, open_dir_here, open_root, stat_at};
use atelier_files::xattrs;

type Result<T, E = Errno> = std::result::Result<T, E>;

/// What a tree holds, to know how large its filesystem becomes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    pub bytes: u64,
    pub entries: u64,
}

/// Makes the tree of `layers`, the topmost first, at `to`, on the same filesystem.
pub(super) fn flatten(layers: &[PathBuf], to: &Path) -> Result<Count, ImageError> {
    std::fs::create_dir(to).map_err(ImageError::io("making", to))?;
    let open = |dir: &PathBuf| open_root(dir).map_err(ImageError::io("reading", dir));
    let mut flatten = Flatten {
        layers: layers.iter().map(open).collect::<Result<_, _>>()?,
        target: open_root(to).map_err(ImageError::io("reading", to))?,
        hands: Hands::new(Origin::Layer),
        count: Count::default(),
        folders: Vec::new(),
    };
    flatten.all().map_err(|(path, error)| match error {
        Errno::NOTSUP => ImageError::Disk(format!(
            "{:?} is a folder that was renamed in a layer by way of redirect_dir",
            String::from_utf8_lossy(&path)
        )),
        error => ImageError::io("linking", to.join(String::from_utf8_lossy(&path).as_ref()))(error),
    })?;
    Ok(flatten.count)
}

struct Flatten {
    layers: Vec<OwnedFd>,
    target: OwnedFd,
    hands: Hands,
    count: Count,
    /// Folders with the layer that their metadata comes from; set last, the deepest first.
    folders: Vec<(Vec<u8>, usize)>,
}

/// What is known of a name in a folder.
enum Seen {
    /// Shown, or hidden by a whiteout.
    Settled,
    /// A folder of these layers, to which lower ones may add.
    Folder(Vec<usize>),
    /// A folder to which lower ones add nothing.
    Closed(Vec<usize>),
}

impl Flatten {
    fn all(&mut self) -> Result<(), (Vec<u8>, Errno)> {
        let all: Vec<_> = (0..self.layers.len()).collect();
        let mut todo = vec![(Vec::new(), all)];
        while let Some((path, layers)) = todo.pop() {
            let more = self.folder(&path, &layers).map_err(|e| (path, e))?;
            todo.extend(more);
        }
        for (path, layer) in std::mem::take(&mut self.folders).into_iter().rev() {
            self.metadata(&path, layer).map_err(|e| (path, e))?;
        }
        Ok(())
    }

    /// Fills one folder. Returns the folders in it, with the layers that they are in.
    fn folder(&mut self, path: &[u8], layers: &[usize]) -> Result<Vec<(Vec<u8>, Vec<usize>)>> {
        let to = open_dir_here(self.target.as_fd(), path)?;
        let mut seen: HashMap<Vec<u8>, Seen> = HashMap::new();
        for (nth, &layer) in layers.iter().enumerate() {
            let from = open_dir_here(self.layers[layer].as_fd(), path)?;
            if nth == 0 {
                self.folders.push((path.to_vec(), layer));
            }
            for name in names(&from)? {
                let name = name.into_bytes();
                match seen.entry(name) {
                    Entry::Vacant(new) => {
                        let state = self.first(from.as_fd(), to.as_fd(), path, new.key(), layer)?;
                        new.insert(state);
                    }
                    Entry::Occupied(mut known) => {
                        let name = known.key().clone();
                        lower(known.get_mut(), from.as_fd(), &name, layer)?;
                    }
                }
            }
        }
        let folder = |(name, seen): (Vec<u8>, Seen)| match seen {
            Seen::Settled => None,
            Seen::Folder(layers) | Seen::Closed(layers) => Some((join(path, &name), layers)),
        };
        Ok(seen.into_iter().filter_map(folder).collect())
    }

    /// A name that no layer above has.
    fn first(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
        layer: usize,
    ) -> Result<Seen> {
        let Some(stat) = stat_at(from, name)? else { return Ok(Seen::Settled) };
        if is_whiteout(&stat) {
            return Ok(Seen::Settled);
        }
        self.count.entries += 1;
        if kind(&stat) == FileType::Directory {
            mkdirat(to, name, Mode::RWXU)?;
            return state(from, name, vec![layer]);
        }
        self.count.bytes += u64::try_from(stat.st_size).unwrap_or(0).next_multiple_of(4096);
        match linkat(from, name, to, name, AtFlags::empty()) {
            // A file with as many names as it can have, or a filesystem that has no links.
            Err(Errno::MLINK | Errno::PERM | Errno::XDEV | Errno::OPNOTSUPP) => {
                self.hands.one(from, to, name, &join(path, name), &stat)?;
            }
            result => result?,
        }
        Ok(Seen::Settled)
    }

    fn metadata(&self, path: &[u8], layer: usize) -> Result<()> {
        let to = open_dir_here(self.target.as_fd(), path)?;
        let from = open_dir_here(self.layers[layer].as_fd(), path)?;
        self.hands.metadata_without_marks(from.as_fd(), to.as_fd(), &fstat(&from)?)
    }
}

/// What a lower layer adds to a name.
fn lower(seen: &mut Seen, from: BorrowedFd<'_>, name: &[u8], layer: usize) -> Result<()> {
    if let Seen::Folder(layers) = seen {
        let mut layers = std::mem::take(layers);
        *seen = match stat_at(from, name)? {
            Some(stat) if kind(&stat) == FileType::Directory => {
                layers.push(layer);
                state(from, name, layers)?
            }
            Some(_) => Seen::Closed(layers),
            None => Seen::Folder(layers),
        };
    }
    Ok(())
}

/// A folder that was found in one more layer.
fn state(from: BorrowedFd<'_>, name: &[u8], layers: Vec<usize>) -> Result<Seen> {
    let dir = open_dir_here(from, name)?;
    let is_redirect = |(name, _): &(Vec<u8>, _)| name.ends_with(b".overlay.redirect");
    if xattrs(&dir)?.iter().any(is_redirect) {
        return Err(Errno::NOTSUP);
    }
    Ok(if is_opaque(&dir) { Seen::Closed(layers) } else { Seen::Folder(layers) })
}
