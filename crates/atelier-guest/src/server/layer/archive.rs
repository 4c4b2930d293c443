//! An overlay's upper folder as a layer of an image: a tar archive in which what hides something below
//! has the names that OCI images have for it. It is read piece by piece, and nothing of it is held in
//! memory but names.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{Whence, lseek64};

use super::marks::{self, Marks};
use super::tar::{self, Head};

/// What a sandbox has of its own whatever its image says, so that no image holds it.
const LEFT_OUT: [&[u8]; 4] = [b"tmp", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"];
/// What the name of something begins with that only hides.
const HIDES: &[u8] = b".wh.";
const HIDES_ALL: &[u8] = b".wh..wh..opq";

/// The archive.
pub(super) struct Archive {
    upper: Arc<File>,
    /// What is still to come, the next one last.
    todo: Vec<Vec<u8>>,
    /// Files that have more names, by device and number, with the first of them.
    names: HashMap<(u64, u64), Vec<u8>>,
    /// Headers that wait to be read, and how much of them was.
    out: Vec<u8>,
    read: usize,
    data: Option<Data>,
    ended: bool,
}

/// A file that is being read.
struct Data {
    file: File,
    /// Where it has something, and how much.
    pieces: VecDeque<(u64, u64)>,
    /// All that it has.
    size: u64,
}

impl Archive {
    /// The archive of the folder `upper`.
    pub(super) fn new(upper: Arc<File>) -> Self {
        Self {
            upper,
            todo: vec![Vec::new()],
            names: HashMap::new(),
            out: Vec::new(),
            read: 0,
            data: None,
            ended: false,
        }
    }

    fn next(&mut self) -> io::Result<()> {
        self.out.clear();
        self.read = 0;
        let Some(path) = self.todo.pop() else {
            self.ended = true;
            self.out.resize(2 * tar::BLOCK, 0);
            return Ok(());
        };
        self.entry(&path).map_err(|error| {
            let what = String::from_utf8_lossy(&path);
            io::Error::new(error.kind(), format!("reading /{what} failed: {error}"))
        })
    }

    fn entry(&mut self, path: &[u8]) -> io::Result<()> {
        let name = if path.is_empty() { b"." } else { path };
        let stat = match fstatat(&*self.upper, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            // Gone since its folder was read.
            Err(Errno::ENOENT) => return Ok(()),
            stat => stat?,
        };
        let mut head = Head {
            path,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ..Head::default()
        };
        match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => self.folder(&head),
            SFlag::S_IFREG => self.file(head, &stat),
            SFlag::S_IFLNK => {
                let link = readlinkat(&*self.upper, name)?;
                head.kind = b'2';
                head.link = link.as_encoded_bytes();
                head.write(&mut self.out);
                Ok(())
            }
            SFlag::S_IFIFO => {
                head.kind = b'6';
                head.write(&mut self.out);
                Ok(())
            }
            SFlag::S_IFCHR if stat.st_rdev == 0 => {
                hide(&mut self.out, path);
                Ok(())
            }
            // Sockets are somebody's who runs, and devices no image has.
            _ => Ok(()),
        }
    }

    fn folder(&mut self, head: &Head<'_>) -> io::Result<()> {
        let path = head.path;
        let name = if path.is_empty() { b"." } else { path };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let folder = openat(&*self.upper, name, flags, Mode::empty())?;
        let Marks { records, hides_all } = marks::of(folder.as_fd())?;
        let shown = [if path.is_empty() { b"." } else { path }, b"/"].concat();
        let Head { mode, uid, gid, mtime, .. } = *head;
        let own =
            Head { path: &shown, kind: b'5', mode, uid, gid, mtime, records, ..Head::default() };
        own.write(&mut self.out);
        if hides_all {
            let hidden = join(path, HIDES_ALL);
            Head { path: &hidden, kind: b'0', ..Head::default() }.write(&mut self.out);
        }
        let mut inside = Vec::new();
        for entry in Dir::from_fd(folder)?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let below = join(path, name);
            // A layer can't hold a file whose name hides another one.
            let odd = matches!(name, b"." | b"..") || name.starts_with(HIDES);
            if !odd && !LEFT_OUT.contains(&below.as_slice()) {
                inside.push(below);
            }
        }
        inside.sort_unstable_by(|a, b| b.cmp(a));
        self.todo.append(&mut inside);
        Ok(())
    }

    fn file(&mut self, mut head: Head<'_>, stat: &FileStat) -> io::Result<()> {
        if stat.st_nlink > 1 {
            if let Some(first) = self.names.get(&(stat.st_dev, stat.st_ino)) {
                Head { kind: b'1', link: first, ..head }.write(&mut self.out);
                return Ok(());
            }
            self.names.insert((stat.st_dev, stat.st_ino), head.path.to_vec());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = File::from(openat(&*self.upper, head.path, flags, Mode::empty())?);
        head.records = marks::of(file.as_fd())?.records;
        head.kind = b'0';
        let size = file.metadata()?.len();
        let pieces = pieces(&file, size)?;
        let holds = pieces.iter().map(|(_, length)| length).sum();
        let mut map = Vec::new();
        if holds < size {
            map = map_of(&pieces);
            for (key, value) in [("major", 1), ("minor", 0), ("realsize", size)] {
                let key = format!("GNU.sparse.{key}").into_bytes();
                head.records.push((key, value.to_string().into_bytes()));
            }
            head.records.push((b"GNU.sparse.name".to_vec(), head.path.to_vec()));
        }
        head.size = holds + map.len() as u64;
        head.write(&mut self.out);
        self.out.append(&mut map);
        self.data = (holds > 0).then_some(Data { file, pieces, size: holds });
        Ok(())
    }

    /// More of the file that is being read.
    fn data(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(data) = &mut self.data else { return Ok(0) };
        let Some((at, left)) = data.pieces.front_mut() else {
            tar::pad(&mut self.out, data.size);
            self.data = None;
            return Ok(0);
        };
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(into.len());
        let read = data.file.read_at(into.get_mut(..most).unwrap_or_default(), *at)?;
        if read == 0 && most > 0 {
            let why = "a file became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        *at += read as u64;
        *left -= read as u64;
        if *left == 0 {
            data.pieces.pop_front();
        }
        Ok(read)
    }
}

impl Read for Archive {
    /// Fills as much as there is room for, since each answer becomes a piece of its own on the way.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty()) {
            let waiting = self.out.get(self.read..).unwrap_or_default();
            if !waiting.is_empty() {
                let length = waiting.len().min(room.len());
                room[..length].copy_from_slice(&waiting[..length]);
                self.read += length;
                filled += length;
            } else if self.data.is_some() {
                self.out.clear();
                self.read = 0;
                filled += self.data(room)?;
            } else if self.ended {
                break;
            } else {
                self.next()?;
            }
        }
        Ok(filled)
    }
}

/// The name that hides what is below under a path.
fn hide(out: &mut Vec<u8>, path: &[u8]) {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (folder, name) = path.split_at(at);
    let hidden = [folder, HIDES, name].concat();
    Head { path: &hidden, kind: b'0', ..Head::default() }.write(out);
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// Where a file has something: all of it, or what is between its holes.
fn pieces(file: &File, size: u64) -> io::Result<VecDeque<(u64, u64)>> {
    let mut found = VecDeque::new();
    let mut at = 0;
    while at < size {
        let start = match lseek64(file, at.cast_signed(), Whence::SeekData) {
            Err(Errno::ENXIO) => break,
            // A filesystem that knows no holes.
            Err(Errno::EINVAL) => at.cast_signed(),
            start => start?,
        };
        let end = lseek64(file, start, Whence::SeekHole).unwrap_or(size.cast_signed());
        let (start, end) = (start.cast_unsigned(), end.cast_unsigned().min(size));
        if end <= start {
            break;
        }
        found.push_back((start, end - start));
        at = end;
    }
    Ok(found)
}

/// The map of a sparse file as its data begins with it: how many pieces, then each.
fn map_of(pieces: &VecDeque<(u64, u64)>) -> Vec<u8> {
    let mut map = format!("{}\n", pieces.len());
    for (offset, length) in pieces {
        map.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut map = map.into_bytes();
    let length = map.len() as u64;
    tar::pad(&mut map, length);
    map
}
