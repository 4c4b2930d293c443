//! What a machine changed of the memory that it began with. That memory is a file, which its monitor maps
//! so that changes are the monitor's own: the kernel knows which pages those are. So a copy of the machine
//! takes the same file and these pages, which are few, and not all that the machine has.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The pages, in the folder of a saved machine: how many stretches, where each is and how long, then what
/// they hold, numbers with their lowest byte first.
pub(super) const CHANGES: &str = "changes";

const PAGE: u64 = 4096;
/// Pages whose entries are read at once.
const LOOK: usize = 16 << 10;
/// What is copied at once.
const BLOCK: usize = 1 << 20;
/// More stretches than a machine of 16 TiB has pages are no list of ours.
const MOST: u64 = 1 << 32;
/// Flags of `/proc/PID/pagemap`: there, in the swap space, of a file.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// A monitor's mapping of the memory that its machine began with.
struct Mapping {
    pid: i32,
    start: u64,
    length: u64,
}

/// A stretch of memory, from the memory's beginning.
type Stretch = (u64, u64);

/// Writes what the machine of the monitor `pid` changed of `memory` into a new file. The machine must
/// stand still.
pub(super) fn keep(pid: i32, memory: &Path, file: &Path) -> io::Result<()> {
    let mapping = Mapping::find(pid, memory)?;
    let stretches = mapping.changed()?;
    let held = File::open(format!("/proc/{pid}/mem"))?;
    let out = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    let mut out = BufWriter::with_capacity(BLOCK, out);
    out.write_all(&(stretches.len() as u64).to_le_bytes())?;
    for (at, length) in &stretches {
        out.write_all(&at.to_le_bytes())?;
        out.write_all(&length.to_le_bytes())?;
    }
    let mut buffer = vec![0; BLOCK];
    for (at, length) in stretches {
        for (from, size) in blocks(at, length) {
            let part = buffer.get_mut(..size).unwrap_or_default();
            held.read_exact_at(part, mapping.start + from)?;
            out.write_all(part)?;
        }
    }
    out.flush()
}

/// Puts what [`keep`] wrote into the monitor `pid`, which has mapped `memory` and runs nothing yet.
pub(super) fn bring(pid: i32, memory: &Path, file: &Path) -> io::Result<()> {
    let mapping = Mapping::find(pid, memory)?;
    let mut read = io::BufReader::with_capacity(BLOCK, File::open(file)?);
    let stretches = list(&mut read, mapping.length)?;
    let held = File::options().write(true).open(format!("/proc/{pid}/mem"))?;
    let mut buffer = vec![0; BLOCK];
    for (at, length) in stretches {
        for (to, size) in blocks(at, length) {
            let part = buffer.get_mut(..size).unwrap_or_default();
            read.read_exact(part)?;
            held.write_all_at(part, mapping.start + to)?;
        }
    }
    Ok(())
}

/// Reads the list of stretches, which lie within the memory.
fn list(read: &mut impl io::Read, length: u64) -> io::Result<Vec<Stretch>> {
    let mut number = || {
        let mut bytes = [0; 8];
        read.read_exact(&mut bytes)?;
        Ok::<_, io::Error>(u64::from_le_bytes(bytes))
    };
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "it is no list of changes");
    let count = number()?;
    if count > MOST {
        return Err(bad());
    }
    let mut found = Vec::new();
    for _ in 0..count {
        let (at, size) = (number()?, number()?);
        if at.checked_add(size).is_none_or(|end| end > length) {
            return Err(bad());
        }
        found.push((at, size));
    }
    Ok(found)
}

fn blocks(at: u64, length: u64) -> impl Iterator<Item = (u64, usize)> {
    let step = BLOCK as u64;
    (0..length.div_ceil(step)).map(move |n| {
        let done = n * step;
        (at + done, usize::try_from(step.min(length - done)).unwrap_or(0))
    })
}

impl Mapping {
    /// The one that maps all of a file.
    fn find(pid: i32, memory: &Path) -> io::Result<Self> {
        let meta = fs::metadata(memory)?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let found = maps.lines().filter_map(mapped);
        let whole = |(range, inode): ((u64, u64), u64)| {
            (inode == meta.ino() && range.1 - range.0 == meta.len()).then_some(range.0)
        };
        let start = found.filter_map(whole).next();
        let none = || io::Error::new(io::ErrorKind::NotFound, "the monitor does not map it");
        Ok(Self { pid, start: start.ok_or_else(none)?, length: meta.len() })
    }

    /// The stretches that are no more what the file holds.
    fn changed(&self) -> io::Result<Vec<Stretch>> {
        let entries = File::open(format!("/proc/{}/pagemap", self.pid))?;
        let mut found: Vec<Stretch> = Vec::new();
        let mut buffer = vec![0; LOOK * 8];
        let (first, pages) = (self.start / PAGE, self.length / PAGE);
        let mut page = 0;
        while page < pages {
            let count = usize::try_from(pages - page).unwrap_or(LOOK).min(LOOK);
            let part = buffer.get_mut(..count * 8).unwrap_or_default();
            entries.read_exact_at(part, (first + page) * 8)?;
            for entry in part.chunks_exact(8) {
                let entry = entry.iter().rev().fold(0, |all, byte| (all << 8) | u64::from(*byte));
                if entry & (PRESENT | SWAPPED) != 0 && entry & OF_FILE == 0 {
                    add(&mut found, page * PAGE);
                }
                page += 1;
            }
        }
        Ok(found)
    }
}

fn add(found: &mut Vec<Stretch>, at: u64) {
    match found.last_mut() {
        Some((start, length)) if *start + *length == at => *length += PAGE,
        _ => found.push((at, PAGE)),
    }
}

/// The addresses and the file's number of a line of `/proc/PID/maps`, when it begins with the file.
fn mapped(line: &str) -> Option<((u64, u64), u64)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (offset, inode) = (words.nth(1)?, words.nth(1)?);
    (hex(offset)? == 0).then_some(())?;
    Some(((hex(start)?, hex(end)?), inode.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    /// A private mapping of a file in this process.
    fn map(file: &File, length: usize) -> &'static mut [u8] {
        use std::os::fd::AsRawFd as _;

        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (flags, fd) = (libc::MAP_PRIVATE, file.as_raw_fd());
        // SAFETY: a new mapping, of a file that is as long.
        let at = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: it stays mapped until this process ends, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(at.cast(), length) }
    }

    #[test]
    fn what_was_changed_is_brought_into_another_mapping_of_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let (length, me) = (4 << 20, std::process::id().cast_signed());
        let (one, other) = (dir.path().join("memory"), dir.path().join("other"));
        for path in [&one, &other] {
            fs::write(path, vec![b'.'; length]).unwrap();
        }
        let first = map(&File::open(&one).unwrap(), length);
        // Read, which changes nothing; changed; changed to zeros.
        assert_eq!(first[100], b'.');
        first[5000] = b'a';
        first[3 << 20..(3 << 20) + 9000].fill(0);
        let changes = dir.path().join(CHANGES);
        keep(me, &one, &changes).unwrap();
        assert_eq!(fs::metadata(&changes).unwrap().len(), 8 + 2 * 16 + 4 * PAGE);
        // The same content under another number stands for the copy's mapping.
        let second = map(&File::open(&other).unwrap(), length);
        bring(me, &other, &changes).unwrap();
        assert!(first == second);
        assert!(fs::read(&other).unwrap().iter().all(|byte| *byte == b'.'), "the file stays");
    }

    #[test]
    fn a_list_that_leads_out_of_the_memory_is_refused() {
        let list_of = |numbers: &[u64]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            list(&mut bytes.as_slice(), 8192)
        };
        assert_eq!(list_of(&[1, 4096, 4096]).unwrap(), [(4096, 4096)]);
        for bad in [&[1, 4096, 8192][..], &[1, u64::MAX, 2], &[u64::MAX], &[2, 0, 1]] {
            assert!(list_of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_that_nobody_maps_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory");
        fs::write(&file, [1; 8192]).unwrap();
        let me = std::process::id().cast_signed();
        let error = keep(me, &file, &dir.path().join(CHANGES)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!dir.path().join(CHANGES).exists());
    }
}
