//! The list of what a frozen base holds, as a compact file: every path with the metadata that
//! the project's file had when it was copied. Paths are raw bytes.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::entry::{Entry, Kind};

/// The first bytes of a manifest; the digit is the format's version.
const MAGIC: &[u8; 8] = b"ATELMF1\n";
/// The last bytes, so that a file cut short is noticed.
const END: &[u8; 4] = b"END\n";

/// What a base was copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// When the copying began, nanoseconds since 1970.
    pub started: i64,
    pub root: Entry,
    /// In the order of a depth-first walk.
    pub entries: Vec<Entry>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.entries.len() * 112);
        out.extend(MAGIC);
        out.extend(self.started.to_le_bytes());
        out.extend((self.entries.len() as u64).to_le_bytes());
        for entry in std::iter::once(&self.root).chain(&self.entries) {
            out.extend((entry.path.len() as u32).to_le_bytes());
            out.extend(&entry.path);
            out.push(entry.kind as u8);
            for n in [entry.mode, entry.uid, entry.gid] {
                out.extend(n.to_le_bytes());
            }
            for n in [entry.size, entry.ino, entry.nlink, entry.blocks] {
                out.extend(n.to_le_bytes());
            }
            out.extend(entry.mtime.to_le_bytes());
            out.extend(entry.ctime.to_le_bytes());
        }
        out.extend(END);
        out
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        Self::decode(&bytes).ok_or_else(|| Error::Damaged {
            path: path.to_owned(),
            why: "it is no complete manifest".to_owned(),
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        (reader.take(MAGIC.len())? == MAGIC).then_some(())?;
        let started = reader.i64()?;
        let count = usize::try_from(reader.u64()?).ok()?;
        let root = reader.entry()?;
        let mut entries = Vec::with_capacity(count.min(bytes.len() / 64));
        for _ in 0..count {
            entries.push(reader.entry()?);
        }
        (reader.0 == END).then_some(Self { started, root, entries })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_le_bytes)
    }

    fn entry(&mut self) -> Option<Entry> {
        let length = usize::try_from(self.u32()?).ok()?;
        Some(Entry {
            path: self.take(length)?.to_vec(),
            kind: Kind::from_byte(self.take(1)?[0])?,
            mode: self.u32()?,
            uid: self.u32()?,
            gid: self.u32()?,
            size: self.u64()?,
            ino: self.u64()?,
            nlink: self.u64()?,
            blocks: self.u64()?,
            mtime: self.i64()?,
            ctime: self.i64()?,
            dev: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let entry = |path: &[u8], kind| Entry {
            path: path.to_vec(),
            kind,
            mode: 0o644,
            size: 7,
            mtime: -1,
            ctime: 1_700_000_000_123_456_789,
            ino: 42,
            uid: 1000,
            gid: 100,
            dev: 0,
            nlink: 2,
            blocks: 8,
        };
        Manifest {
            started: 5,
            root: entry(b"", Kind::Dir),
            entries: vec![entry(b"a\n\xff", Kind::File), entry(b"b", Kind::Symlink)],
        }
    }

    #[test]
    fn a_manifest_of_any_names_survives() {
        let manifest = sample();
        assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
    }

    #[test]
    fn one_cut_short_anywhere_is_noticed() {
        let bytes = sample().encode();
        for end in 0..bytes.len() {
            assert_eq!(Manifest::decode(&bytes[..end]), None, "cut at {end}");
        }
    }
}
