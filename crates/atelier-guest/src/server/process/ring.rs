//! The bytes of a spool: the newest output of one process, in bounded space.
//!
//! Output is kept as records of a kind, a length and bytes, in a ring that first grows in memory
//! and then, when a folder was given, moves into a file there. Positions count bytes of records
//! and never wrap; *offsets* count bytes of output and are what clients see. Who waits for whom is
//! `spool.rs`'s business.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::wire::Stream;

/// Bytes before each record: its kind and its length.
const HEADER: u64 = 5;
/// What a spool keeps in memory when it has no folder.
const MEMORY: u64 = 1 << 20;
/// What a spool with a folder keeps in memory before it takes a file.
const BEFORE_FILE: u64 = 64 << 10;
/// What a file keeps.
const FILE: u64 = 8 << 20;

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The position of the record that is read next.
    pub(super) position: u64,
    /// How much of that record was read before.
    pub(super) skip: u64,
    /// The offset of the next byte.
    pub(super) offset: u64,
}

enum Store {
    Memory(Vec<u8>),
    File(File),
}

pub(super) struct Ring {
    store: Store,
    file: Option<PathBuf>,
    capacity: u64,
    oldest: Place,
    newest: Place,
}

impl Ring {
    /// `file` is where output goes when it outgrows memory.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        let start = Place { position: 0, skip: 0, offset: 0 };
        let capacity = if file.is_some() { BEFORE_FILE } else { MEMORY };
        let store = Store::Memory(Vec::new());
        Self { store, file, capacity, oldest: start, newest: start }
    }

    pub(super) fn oldest(&self) -> Place {
        self.oldest
    }

    pub(super) fn newest(&self) -> Place {
        self.newest
    }

    /// Bytes in memory and bytes on disk.
    pub(super) fn footprint(&self) -> (u64, u64) {
        match &self.store {
            Store::Memory(bytes) => (bytes.capacity() as u64, 0),
            Store::File(_) => (0, self.newest.position.min(self.capacity)),
        }
    }

    /// Whether `bytes` more can be kept without losing what begins at `position`.
    pub(super) fn has_room(&self, position: u64, bytes: u64) -> bool {
        let limit = if self.file.is_some() { FILE } else { self.capacity };
        self.newest.position + HEADER + bytes - position <= limit
    }

    /// Adds output; the oldest makes room.
    pub(super) fn append(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        let need = HEADER + length;
        if self.newest.position + need > self.capacity {
            self.move_to_file();
        }
        while self.newest.position + need - self.oldest.position > self.capacity {
            let (_, kept) = self.header(self.oldest.position)?;
            self.oldest.position += HEADER + kept;
            self.oldest.offset += kept;
        }
        let mut header = [kind(stream), 0, 0, 0, 0];
        header[1..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        self.write(self.newest.position, &header)?;
        self.write(self.newest.position + HEADER, bytes)?;
        self.newest.position += need;
        self.newest.offset += length;
        Ok(())
    }

    /// Reads on from a place: output of one kind, at most `limit` bytes, appended to `into`.
    pub(super) fn read(
        &self,
        place: &mut Place,
        limit: u64,
        into: &mut Vec<u8>,
    ) -> io::Result<Option<Stream>> {
        if place.position < self.oldest.position {
            *place = self.oldest;
        }
        let mut found = None;
        let mut left = limit;
        while place.position < self.newest.position && left > 0 {
            let (stream, length) = self.header(place.position)?;
            if found.is_some_and(|kind| kind != stream) {
                break;
            }
            found = Some(stream);
            let take = (length - place.skip).min(left);
            let start = into.len();
            into.resize(start + usize::try_from(take).unwrap_or(0), 0);
            self.read_at(place.position + HEADER + place.skip, &mut into[start..])?;
            left -= take;
            place.offset += take;
            place.skip += take;
            if place.skip == length {
                place.position += HEADER + length;
                place.skip = 0;
            }
        }
        Ok(found)
    }

    /// The place of an offset, or the oldest one that is kept if it is gone.
    pub(super) fn find(&self, offset: u64) -> io::Result<Place> {
        let mut place = self.oldest;
        while place.offset < offset && place.position < self.newest.position {
            let (_, length) = self.header(place.position)?;
            if place.offset + length > offset {
                place.skip = offset - place.offset;
                place.offset = offset;
                break;
            }
            place.offset += length;
            place.position += HEADER + length;
        }
        Ok(place)
    }

    /// Gives everything back; offsets go on from where they were.
    pub(super) fn clear(&mut self) {
        self.store = Store::Memory(Vec::new());
        let start = Place { position: 0, skip: 0, offset: self.newest.offset };
        (self.oldest, self.newest) = (start, start);
        self.capacity = if self.file.is_some() { BEFORE_FILE } else { MEMORY };
    }

    fn header(&self, position: u64) -> io::Result<(Stream, u64)> {
        let mut header = [0; 5];
        self.read_at(position, &mut header)?;
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let stream = match header[0] {
            1 => Stream::Stderr,
            2 => Stream::Pty,
            _ => Stream::Stdout,
        };
        Ok((stream, u64::from(length)))
    }

    /// A file that cannot be made leaves the spool in memory, with room for less.
    fn move_to_file(&mut self) {
        let (Store::Memory(bytes), Some(path)) = (&self.store, &self.file) else { return };
        let moved = anonymous_file(path).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            Ok(file)
        });
        match moved {
            Ok(file) => {
                self.store = Store::File(file);
                self.capacity = FILE;
            }
            Err(_) => {
                self.file = None;
                self.capacity = MEMORY;
            }
        }
    }

    fn write(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        for (at, part) in parts(position, bytes.len(), self.capacity) {
            match &mut self.store {
                Store::File(file) => file.write_all_at(&bytes[part], at as u64)?,
                Store::Memory(kept) => {
                    if kept.len() < at + part.len() {
                        kept.resize(at + part.len(), 0);
                    }
                    kept[at..at + part.len()].copy_from_slice(&bytes[part]);
                }
            }
        }
        Ok(())
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        for (at, part) in parts(position, into.len(), self.capacity) {
            match &self.store {
                Store::File(file) => file.read_exact_at(&mut into[part], at as u64)?,
                Store::Memory(kept) => {
                    let length = part.len();
                    into[part].copy_from_slice(&kept[at..at + length]);
                }
            }
        }
        Ok(())
    }
}

/// The one or two stretches of a ring that hold `length` bytes from `position` on.
fn parts(
    position: u64,
    length: usize,
    capacity: u64,
) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let at = usize::try_from(position % capacity).unwrap_or(0);
    let first = length.min(usize::try_from(capacity).unwrap_or(usize::MAX) - at);
    [(at, 0..first), (0, first..length)].into_iter().filter(|(_, part)| !part.is_empty())
}

fn kind(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::Pty => 2,
    }
}

/// A file that has no name any more, so that nothing is left behind whatever happens to the guest.
fn anonymous_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything(ring: &Ring, mut place: Place) -> Vec<u8> {
        let mut all = Vec::new();
        while ring.read(&mut place, 10, &mut all).unwrap().is_some() {}
        assert_eq!(place, ring.newest());
        all
    }

    #[test]
    fn output_of_one_kind_is_read_as_one_and_offsets_count_all_kinds() {
        let mut ring = Ring::new(None);
        for (stream, text) in
            [(Stream::Stdout, "ab"), (Stream::Stdout, "cd"), (Stream::Stderr, "ef")]
        {
            ring.append(stream, text.as_bytes()).unwrap();
        }
        let mut place = ring.oldest();
        let mut out = Vec::new();
        assert_eq!(ring.read(&mut place, 100, &mut out).unwrap(), Some(Stream::Stdout));
        assert_eq!(out, b"abcd");
        assert_eq!(place.offset, 4);
        assert_eq!(ring.read(&mut place, 100, &mut out).unwrap(), Some(Stream::Stderr));
        assert_eq!(ring.read(&mut place, 100, &mut out).unwrap(), None);
    }

    #[test]
    fn an_offset_inside_a_record_is_found() {
        let mut ring = Ring::new(None);
        ring.append(Stream::Stdout, b"hello").unwrap();
        ring.append(Stream::Stderr, b"world").unwrap();
        assert_eq!(everything(&ring, ring.find(3).unwrap()), b"loworld");
        assert_eq!(everything(&ring, ring.find(7).unwrap()), b"rld");
        assert_eq!(ring.find(10).unwrap(), ring.newest());
    }

    #[test]
    fn a_full_ring_in_memory_keeps_the_newest_and_no_more_than_its_size() {
        let mut ring = Ring::new(None);
        let line = |n: u32| format!("{n:08}\n").into_bytes();
        for n in 0..300_000 {
            ring.append(Stream::Stdout, &line(n)).unwrap();
        }
        assert!(ring.footprint().0 <= 2 * MEMORY);
        assert_eq!(ring.newest().offset, 300_000 * 9);
        let kept = everything(&ring, ring.oldest());
        assert!(kept.ends_with(&line(299_999)));
        assert_eq!(ring.oldest().offset + kept.len() as u64, ring.newest().offset);
    }

    #[test]
    fn a_spool_that_outgrows_memory_goes_on_in_a_file_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(Some(folder.path().join("7.log")));
        let block: Vec<u8> = (0..50_000_u32).map(|n| (n % 251) as u8).collect();
        for _ in 0..400 {
            ring.append(Stream::Pty, &block).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (memory, disk) = ring.footprint();
        assert_eq!((memory, disk), (0, FILE));
        let kept = everything(&ring, ring.oldest());
        assert!(kept.len() > 7 << 20);
        assert!(kept.ends_with(&block));
    }
}
