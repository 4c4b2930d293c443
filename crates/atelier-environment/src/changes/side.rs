//! One side of a change: a file, an executable file or a symlink somewhere in the layers.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode as Bits, OFlags, fstat, readlinkat};

use crate::error::{Error, Result};
use crate::files::entry::{Entry, Kind};
use crate::files::view::Leaf;
use crate::quote::as_path;
use atelier_files::below::{open, open_dir, open_root, split};

/// Files beyond this many bytes are compared, but never read into memory as text.
pub(crate) const TEXT_LIMIT: u64 = 64 << 20;
/// Where git looks for a NUL to call a file binary (`buffer_is_binary`).
const BINARY_WINDOW: usize = 8000;

/// The kinds of paths that git knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GitMode {
    Plain,
    Executable,
    Link,
}

impl GitMode {
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        match entry.kind {
            Kind::File if entry.mode & 0o100 != 0 => Some(Self::Executable),
            Kind::File => Some(Self::Plain),
            Kind::Symlink => Some(Self::Link),
            _ => None,
        }
    }

    pub(crate) fn octal(self) -> &'static str {
        match self {
            Self::Plain => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
        }
    }

    pub(crate) fn is_link(self) -> bool {
        self == Self::Link
    }
}

/// A path's state on one side.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub leaf: Leaf,
    pub mode: GitMode,
}

/// The same path before and after; at least one is there.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub path: Vec<u8>,
    pub old: Option<Side>,
    pub new: Option<Side>,
}

/// All layers of a comparison, opened once.
#[derive(Debug)]
pub(crate) struct Layers {
    paths: Vec<PathBuf>,
    roots: Vec<OwnedFd>,
}

impl Layers {
    pub(crate) fn open(paths: &[&Path]) -> Result<Self> {
        let open = |p: &&Path| open_root(p).map_err(|e| Error::io("open", p, e));
        let roots = paths.iter().map(open).collect::<Result<_>>()?;
        Ok(Self { paths: paths.iter().map(|p| p.to_path_buf()).collect(), roots })
    }

    /// Adds one; gives its number.
    pub(crate) fn add(&mut self, path: &Path) -> Result<usize> {
        self.roots.push(open_root(path).map_err(|e| Error::io("open", path, e))?);
        self.paths.push(path.to_owned());
        Ok(self.paths.len() - 1)
    }

    /// A layer by its number.
    pub(crate) fn path(&self, layer: usize) -> &Path {
        &self.paths[layer]
    }

    /// The number of a layer.
    pub(crate) fn number(&self, path: &Path) -> Option<usize> {
        self.paths.iter().position(|own| own == path)
    }

    fn fail(&self, side: &Side, error: impl Into<std::io::Error>) -> Error {
        let path = self.paths[side.leaf.layer].join(as_path(&side.leaf.entry.path));
        Error::io("read", &path, error)
    }

    /// The bytes of a file, or the target of a symlink.
    pub(crate) fn read(&self, side: &Side) -> Result<Vec<u8>> {
        let path = &side.leaf.entry.path;
        if side.mode.is_link() {
            let (dir, name) = split(path);
            let dir = open_dir(self.roots[side.leaf.layer].as_fd(), dir);
            let target = dir.and_then(|d| readlinkat(&d, name, Vec::new()));
            return target.map(CString::into_bytes).map_err(|e| self.fail(side, e));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(side.leaf.entry.size).unwrap_or(0));
        self.file(side)?.read_to_end(&mut bytes).map_err(|e| self.fail(side, e))?;
        Ok(bytes)
    }

    /// An open file for reading; never a FIFO or a device that took its place.
    pub(crate) fn file(&self, side: &Side) -> Result<File> {
        let root = self.roots[side.leaf.layer].as_fd();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = open(root, &side.leaf.entry.path, flags, Bits::empty())
            .map_err(|e| self.fail(side, e))?;
        let stat = fstat(&fd).map_err(|e| self.fail(side, e))?;
        if Kind::of(&stat) != Kind::File {
            return Err(self.fail(side, std::io::Error::other("it is no file any more")));
        }
        Ok(File::from(fd))
    }

    /// Whether both sides hold the same bytes.
    pub(crate) fn same_bytes(&self, a: &Side, b: &Side) -> Result<bool> {
        if a.mode.is_link() || b.mode.is_link() {
            return Ok(a.mode.is_link() == b.mode.is_link() && self.read(a)? == self.read(b)?);
        }
        if a.leaf.entry.size != b.leaf.entry.size {
            return Ok(false);
        }
        let (mut left, mut right) = (self.file(a)?, self.file(b)?);
        same_contents(&mut left, &mut right).map_err(|e| self.fail(b, e))
    }
}

/// Whether two open files hold the same bytes from where they are.
pub(crate) fn same_contents(left: &mut File, right: &mut File) -> std::io::Result<bool> {
    let (mut x, mut y) = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
    loop {
        let n = left.read(&mut x)?;
        if n == 0 {
            return Ok(right.read(&mut y[..1])? == 0);
        }
        match right.read_exact(&mut y[..n]) {
            Ok(()) if x[..n] == y[..n] => {}
            Ok(()) => return Ok(false),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}

/// Whether git would call these bytes binary.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BINARY_WINDOW)].contains(&0)
}
