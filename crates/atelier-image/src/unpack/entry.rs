//! One entry of an archive becomes a file, with every path resolved inside the layer's folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use atelier_files::below::{DIR, make_inside, open_inside, open_root, parts, split, stat_at};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown,
    futimens, linkat, mkdirat, mknodat, openat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::hidden::{Hides, hides};
use super::{Budget, Content, LayerError};
use crate::files::marks::{
    as_root, is_whiteout, kind, make_whiteout, may_arrive, set_opaque, set_xattr,
};
use crate::tar::{Entry, Kind};

/// The longest path that the kernel takes.
const PATH_MAX: usize = 4095;
/// How much memory the times of folders may take. Beyond it folders keep the time of unpacking.
const TIMES: usize = 128 << 20;

type Result<T> = std::result::Result<T, LayerError>;

/// A layer's folder while it is filled.
pub(crate) struct Unpacker {
    root: OwnedFd,
    content: Content,
    as_root: bool,
    opaque: bool,
    /// The folder of the entry before, since neighbours share it.
    folder: Option<(Vec<u8>, OwnedFd)>,
    /// Folders' times, set last, because everything made in a folder changes them.
    times: Vec<(Vec<u8>, (i64, u32))>,
    times_size: usize,
    buffer: Vec<u8>,
}

impl Unpacker {
    pub(crate) fn new(target: &Path, content: Content) -> Result<Self> {
        use std::os::unix::ffi::OsStrExt;
        let root = open_root(target).map_err(LayerError::writing(target.as_os_str().as_bytes()))?;
        Ok(Self {
            root,
            content,
            as_root: as_root(),
            opaque: false,
            folder: None,
            times: Vec::new(),
            times_size: 0,
            buffer: vec![0; 128 * 1024],
        })
    }

    /// Makes what the entry says; its data is read from `data`.
    pub(crate) fn entry(
        &mut self,
        entry: &Entry,
        data: &mut impl Read,
        budget: &Budget,
    ) -> Result<()> {
        let path = clean(&entry.path)?;
        let (dir, name) = split(&path);
        if self.content == Content::Layer {
            match hides(dir, name)? {
                Hides::Nothing => {}
                Hides::Aufs => return Ok(()),
                Hides::Name(hidden) => return self.hide(dir, hidden, &path),
                Hides::Everything => return self.hide_all(dir, &path),
            }
        }
        if path.is_empty() {
            return self.root_folder(entry);
        }
        if matches!(entry.kind, Kind::Char | Kind::Block) {
            return self.device(&path);
        }
        let folder = self.take_folder(dir, &path)?;
        match entry.kind {
            Kind::Dir => self.dir(folder.as_fd(), name, &path, entry)?,
            Kind::File => self.file(folder.as_fd(), name, &path, entry, (data, budget))?,
            Kind::HardLink => self.hard_link(folder.as_fd(), name, &path, entry)?,
            _ => self.special(folder.as_fd(), name, &path, entry)?,
        }
        self.folder = Some((dir.to_vec(), folder));
        Ok(())
    }

    /// Sets what had to wait. Returns whether the layer hides everything below.
    pub(crate) fn finish(mut self) -> Result<bool> {
        self.folder = None;
        for (path, mtime) in std::mem::take(&mut self.times) {
            let (dir, name) = split(&path);
            let name = if name.is_empty() { b"." } else { name };
            // What became of it later in the archive is not our concern.
            let Ok(dir) = open_inside(self.root.as_fd(), dir) else { continue };
            let Ok(folder) = openat(&dir, name, DIR, Mode::empty()) else { continue };
            futimens(&folder, &times(mtime)).map_err(LayerError::writing(&path))?;
        }
        Ok(self.opaque)
    }

    fn take_folder(&mut self, dir: &[u8], path: &[u8]) -> Result<OwnedFd> {
        match self.folder.take() {
            Some((known, fd)) if known == dir => Ok(fd),
            _ => self.open_folder(dir, path),
        }
    }

    fn open_folder(&self, dir: &[u8], path: &[u8]) -> Result<OwnedFd> {
        make_inside(self.root.as_fd(), dir).map_err(|error| match error {
            Errno::LOOP | Errno::XDEV => escapes(path, "its folder is a symlink to elsewhere"),
            Errno::NOTDIR => LayerError::name(path, "is below something that is no folder"),
            error => LayerError::writing(path)(error),
        })
    }

    fn root_folder(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Dir {
            return Err(LayerError::name(&entry.path, "is the root, and no folder"));
        }
        let root =
            openat(&self.root, ".", DIR, Mode::empty()).map_err(LayerError::writing(b"/"))?;
        self.metadata(root.as_fd(), b"", entry)?;
        self.later(b"", entry.mtime);
        Ok(())
    }

    fn device(&self, path: &[u8]) -> Result<()> {
        if self.content == Content::Root && path.starts_with(b"dev/") {
            return Ok(());
        }
        Err(LayerError::Device(String::from_utf8_lossy(path).into_owned()))
    }

    fn dir(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
    ) -> Result<()> {
        let fail = LayerError::writing::<Errno>;
        let existing = stat_at(folder, name).map_err(fail(path))?;
        let is_there = existing.as_ref().is_some_and(|s| kind(s) == FileType::Directory);
        if !is_there {
            self.clear(folder, name, path)?;
            mkdirat(folder, name, Mode::RWXU).map_err(fail(path))?;
        }
        let dir = openat(folder, name, DIR, Mode::empty()).map_err(fail(path))?;
        if existing.as_ref().is_some_and(is_whiteout) {
            // Hidden first and made anew: nothing of the folder below shows through.
            set_opaque(&dir).map_err(fail(path))?;
        }
        self.metadata(dir.as_fd(), path, entry)?;
        self.later(path, entry.mtime);
        Ok(())
    }

    fn later(&mut self, path: &[u8], mtime: (i64, u32)) {
        self.times_size += path.len() + 48;
        if self.times_size <= TIMES {
            self.times.push((path.to_vec(), mtime));
        }
    }

    fn file(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
        (data, budget): (&mut impl Read, &Budget),
    ) -> Result<()> {
        self.clear(folder, name, path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = openat(folder, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.map_err(LayerError::writing(path))?);
        match &entry.sparse {
            None => self.fill(&mut file, path, data, entry.size)?,
            Some(pieces) => {
                // Holes take no space here, but they do where the file is copied.
                let holes = entry.size - pieces.iter().map(|p| p.1).sum::<u64>();
                budget.bytes(holes)?;
                for (offset, length) in pieces {
                    file.seek(SeekFrom::Start(*offset)).map_err(LayerError::writing(path))?;
                    self.fill(&mut file, path, data, *length)?;
                }
                file.set_len(entry.size).map_err(LayerError::writing(path))?;
            }
        }
        self.metadata(file.as_fd(), path, entry)?;
        futimens(&file, &times(entry.mtime)).map_err(LayerError::writing(path))
    }

    fn fill(
        &mut self,
        file: &mut File,
        path: &[u8],
        data: &mut impl Read,
        mut length: u64,
    ) -> Result<()> {
        while length > 0 {
            let most = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            let n = data.read(&mut self.buffer[..most]).map_err(LayerError::from_io)?;
            if n == 0 {
                return Err(LayerError::CutOff);
            }
            file.write_all(&self.buffer[..n]).map_err(LayerError::writing(path))?;
            length -= n as u64;
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
    ) -> Result<()> {
        let target = clean(&entry.link)?;
        if target == path {
            return Ok(());
        }
        let missing = || LayerError::name(path, "is a hard link to a file that the layer lacks");
        let (dir, last) = split(&target);
        let from = open_inside(self.root.as_fd(), dir).map_err(|_| missing())?;
        let stat = stat_at(&from, last).map_err(LayerError::writing(path))?.ok_or_else(missing)?;
        if !matches!(kind(&stat), FileType::RegularFile | FileType::Symlink) {
            return Err(LayerError::name(path, "is a hard link to something that is no file"));
        }
        self.clear(folder, name, path)?;
        linkat(&from, last, folder, name, AtFlags::empty()).map_err(|error| match error {
            Errno::NOENT => missing(),
            error => LayerError::writing(path)(error),
        })
    }

    /// Symlinks and pipes, which are not opened.
    fn special(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
    ) -> Result<()> {
        let fail = LayerError::writing::<Errno>;
        self.clear(folder, name, path)?;
        if entry.kind == Kind::Symlink {
            if entry.link.is_empty() || entry.link.len() > PATH_MAX || entry.link.contains(&0) {
                return Err(LayerError::name(path, "is a symlink to no possible path"));
            }
            symlinkat(entry.link.as_slice(), folder, name).map_err(fail(path))?;
        } else {
            let mode = Mode::from_raw_mode(entry.mode & 0o777);
            mknodat(folder, name, FileType::Fifo, mode, 0).map_err(fail(path))?;
        }
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if self.as_root {
            let (uid, gid) = owner(path, entry)?;
            chownat(folder, name, Some(uid), Some(gid), nofollow).map_err(fail(path))?;
        }
        utimensat(folder, name, &times(entry.mtime), nofollow).map_err(fail(path))
    }

    /// Owner, mode and attributes, in that order, since the first undoes parts of the others.
    fn metadata(&self, file: BorrowedFd<'_>, path: &[u8], entry: &Entry) -> Result<()> {
        let mut mode = entry.mode & 0o7777;
        if self.as_root {
            let (uid, gid) = owner(path, entry)?;
            fchown(file, Some(uid), Some(gid)).map_err(LayerError::writing(path))?;
        } else {
            // A user must be able to read what it has, and to remove it.
            mode |= if entry.kind == Kind::Dir { 0o700 } else { 0o600 };
        }
        fchmod(file, Mode::from_raw_mode(mode)).map_err(LayerError::writing(path))?;
        for (name, value) in entry.xattrs.iter().filter(|(name, _)| may_arrive(name)) {
            set_xattr(file, name, value).map_err(|error| match error {
                Errno::NOSPC | Errno::TOOBIG | Errno::RANGE | Errno::NAMETOOLONG => {
                    LayerError::name(path, "has attributes too large for this filesystem")
                }
                error => LayerError::writing(path)(error),
            })?;
        }
        Ok(())
    }

    /// Takes away what is under a name.
    fn clear(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        let fail = LayerError::writing::<Errno>;
        let Some(stat) = stat_at(folder, name).map_err(fail(path))? else { return Ok(()) };
        if kind(&stat) != FileType::Directory {
            return unlinkat(folder, name, AtFlags::empty()).map_err(fail(path));
        }
        let dir = openat(folder, name, DIR, Mode::empty()).map_err(fail(path))?;
        let shown = Path::new(OsStr::from_bytes(path));
        atelier_files::empty(&dir, shown).map_err(LayerError::writing(path))?;
        unlinkat(folder, name, AtFlags::REMOVEDIR).map_err(fail(path))
    }

    /// Hides a name of the layers below.
    fn hide(&mut self, dir: &[u8], name: &[u8], path: &[u8]) -> Result<()> {
        let folder = self.take_folder(dir, path)?;
        let existing = stat_at(&folder, name).map_err(LayerError::writing(path))?;
        let done = match existing.as_ref().map(kind) {
            None => make_whiteout(&folder, name),
            // Made anew by this layer: only what is below it is hidden.
            Some(FileType::Directory) => {
                openat(&folder, name, DIR, Mode::empty()).and_then(set_opaque)
            }
            Some(_) => Ok(()),
        };
        self.folder = Some((dir.to_vec(), folder));
        done.map_err(LayerError::writing(path))
    }

    /// Hides all that the layers below have in a folder.
    fn hide_all(&mut self, dir: &[u8], path: &[u8]) -> Result<()> {
        if dir.is_empty() {
            self.opaque = true;
            return Ok(());
        }
        let folder = self.open_folder(dir, path)?;
        set_opaque(&folder).map_err(LayerError::writing(path))
    }
}

/// A path of the archive below the layer's root: without `.`, refused with `..`.
fn clean(path: &[u8]) -> Result<Vec<u8>> {
    if path.contains(&0) {
        return Err(LayerError::name(path, "has a NUL in it"));
    }
    if parts(path).any(|part| part == b"..") {
        return Err(escapes(path, "it goes up with .."));
    }
    let clean = parts(path).collect::<Vec<_>>().join(&b'/');
    if clean.len() > PATH_MAX {
        return Err(LayerError::name(path, "is longer than paths may be"));
    }
    Ok(clean)
}

fn escapes(path: &[u8], why: &'static str) -> LayerError {
    LayerError::Escapes { path: String::from_utf8_lossy(path).into_owned(), why }
}

fn owner(path: &[u8], entry: &Entry) -> Result<(Uid, Gid)> {
    // The highest number means "leave it as it is" to the kernel.
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    match (id(entry.uid), id(entry.gid)) {
        (Some(uid), Some(gid)) => Ok((Uid::from_raw(uid), Gid::from_raw(gid))),
        _ => Err(LayerError::name(path, "belongs to an impossible user or group")),
    }
}

fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
