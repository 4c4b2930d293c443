//! One path of a tree: its kind, its metadata, its order among others.

use std::cmp::Ordering;

use rustix::fs::{FileType, Stat};

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    File = 0,
    Dir = 1,
    Symlink = 2,
    Fifo = 3,
    /// Sockets and devices: never copied.
    Special = 4,
    /// A deletion in an overlay layer: a character device 0/0.
    Whiteout = 5,
}

impl Kind {
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Dir,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::CharacterDevice if stat.st_rdev == 0 => Self::Whiteout,
            _ => Self::Special,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::File, Self::Dir, Self::Symlink, Self::Fifo].into_iter().find(|k| *k as u8 == byte)
    }
}

/// A path below a root with what the kernel says of it. Times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub size: u64,
    pub mtime: i64,
    pub ctime: i64,
    pub ino: u64,
    pub uid: u32,
    pub gid: u32,
    /// Only for finding hard links inside one scan; device numbers do not survive a reboot.
    pub dev: u64,
    pub nlink: u64,
    /// 512-byte blocks, to know sparse files.
    pub blocks: u64,
}

/// Seconds and nanoseconds as one number.
pub(crate) fn nanos(seconds: i64, nanos: u64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(nanos).unwrap_or(0))
}

impl Entry {
    pub(crate) fn new(path: Vec<u8>, stat: &Stat) -> Self {
        Self {
            path,
            kind: Kind::of(stat),
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanos(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanos(stat.st_ctime, stat.st_ctime_nsec),
            ino: stat.st_ino,
            uid: stat.st_uid,
            gid: stat.st_gid,
            dev: stat.st_dev,
            nlink: stat.st_nlink,
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
        }
    }

    /// Whether nothing can have happened to the path between the two looks. The kernel moves
    /// `ctime` at every change of content, owner, mode, link count or target, and nobody can set
    /// it back; that is why contents and symlink targets need not be read.
    pub(crate) fn is_unchanged(&self, later: &Self) -> bool {
        self.kind == later.kind
            && self.ctime == later.ctime
            && self.mtime == later.mtime
            && self.mode == later.mode
            && self.ino == later.ino
            && (self.kind == Kind::Dir || self.size == later.size)
            && (self.uid, self.gid) == (later.uid, later.gid)
    }

    /// Whether both are names of one file, as they are at this moment.
    pub(crate) fn is_link_of(&self, other: &Self) -> bool {
        self.kind == Kind::File && (self.dev, self.ino) == (other.dev, other.ino)
    }
}

/// The order of a depth-first walk: a folder, all below it, then its next sibling.
pub(crate) fn order(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let rank = |path: &[u8]| match path.get(common) {
        None => 0,
        Some(b'/') => 1,
        Some(byte) => u16::from(*byte) + 1,
    };
    rank(a).cmp(&rank(b))
}

/// Whether `path` lies below `dir`.
pub(crate) fn is_below(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || (path.len() > dir.len() && path.starts_with(dir) && path[dir.len()] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_before_its_content_and_before_names_it_begins() {
        let sorted: [&[u8]; 5] = [b"a", b"a/x", b"a/x/y", b"a.b", b"b"];
        for pair in sorted.windows(2) {
            assert_eq!(order(pair[0], pair[1]), Ordering::Less);
        }
        assert!(is_below(b"a/x", b"a") && !is_below(b"a.b", b"a") && is_below(b"a", b""));
    }
}
