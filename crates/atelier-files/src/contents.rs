//! Copying the bytes of one file, the cheapest way that the filesystem offers.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    SeekFrom, Stat, Timespec, Timestamps, copy_file_range, fstat, ioctl_ficlone, seek,
};
use rustix::io::Errno;

/// Files up to this size are read and written, which takes fewer system calls than anything else.
const SMALL: u64 = 64 * 1024;

/// Copies contents; remembers whether the two filesystems can share blocks.
#[derive(Debug)]
pub struct Contents {
    reflink: AtomicBool,
}

impl Default for Contents {
    fn default() -> Self {
        Self { reflink: AtomicBool::new(true) }
    }
}

impl Contents {
    /// Copies everything in `from` to the empty file `to`, and keeps its holes. Returns the bytes.
    /// The buffer is the caller's so that many files share one.
    ///
    /// # Errors
    /// The kernel's, a full disk among them.
    pub fn copy(
        &self,
        from: &mut File,
        to: &mut File,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<u64> {
        let stat = fstat(&*from)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size <= SMALL {
            return read_write(from, to, buffer);
        }
        if self.reflink.load(Ordering::Relaxed) {
            match ioctl_ficlone(&*to, &*from) {
                Ok(()) => return Ok(size),
                Err(Errno::NOSPC) => return Err(Errno::NOSPC.into()),
                Err(_) => self.reflink.store(false, Ordering::Relaxed),
            }
        }
        if u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size {
            return sparse(from, to, size);
        }
        range(from, to, buffer)
    }
}

/// Access and modification time for a copy: both are when the original was modified, in nanoseconds
/// since 1970.
#[must_use]
pub fn times(modified: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.div_euclid(1_000_000_000),
        tv_nsec: modified.rem_euclid(1_000_000_000),
    };
    Timestamps { last_access: time, last_modification: time }
}

/// When a file was modified, in nanoseconds since 1970.
#[must_use]
pub fn modified(stat: &Stat) -> i64 {
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanos)
}

fn read_write(from: &mut File, to: &mut File, buffer: &mut Vec<u8>) -> std::io::Result<u64> {
    buffer.resize(2 * SMALL as usize, 0);
    let mut total = 0;
    loop {
        let n = from.read(buffer)?;
        if n == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..n])?;
        total += n as u64;
    }
}

/// Copies inside the kernel, as far as the kernel can.
fn range(from: &mut File, to: &mut File, buffer: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut total = 0;
    loop {
        match copy_file_range(&*from, None, &*to, None, 1 << 30) {
            // Some filesystems (procfs, FUSE) answer 0 for files that have content.
            Ok(0) => return Ok(total + read_write(from, to, buffer)?),
            Ok(n) => total += n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return Ok(total + read_write(from, to, buffer)?);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies the parts of a sparse file that hold data, and keeps the holes.
fn sparse(from: &mut File, to: &mut File, size: u64) -> std::io::Result<u64> {
    let mut at = 0;
    while at < size {
        let data = match seek(&*from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(&*from, SeekFrom::Hole(data))?;
        seek(&*from, SeekFrom::Start(data))?;
        seek(&*to, SeekFrom::Start(data))?;
        std::io::copy(&mut (&mut *from).take(end - data), to)?;
        at = end;
    }
    to.set_len(size)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    fn copied(from: &std::path::Path, to: &std::path::Path) -> u64 {
        let (mut from, mut to) = (File::open(from).unwrap(), File::create_new(to).unwrap());
        Contents::default().copy(&mut from, &mut to, &mut Vec::new()).unwrap()
    }

    #[test]
    fn holes_stay_holes_and_bytes_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"start", 0).unwrap();
        file.write_all_at(b"middle", 40 << 20).unwrap();
        assert_eq!(copied(&from, &to), 64 << 20);
        let copy = File::open(&to).unwrap();
        let mut text = [0; 6];
        copy.read_exact_at(&mut text, 40 << 20).unwrap();
        assert_eq!(&text, b"middle");
        let meta = copy.metadata().unwrap();
        assert_eq!(meta.len(), 64 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    }

    #[test]
    fn a_file_of_the_kernel_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("mounts");
        copied(std::path::Path::new("/proc/self/mounts"), &to);
        assert!(std::fs::read_to_string(to).unwrap().contains(" / "));
    }

    #[test]
    fn large_and_small_files_are_the_same_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, 65_536, 65_537, 3_000_000] {
            let bytes: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
            let (from, to) =
                (folder.path().join(format!("a{size}")), folder.path().join(format!("b{size}")));
            std::fs::write(&from, &bytes).unwrap();
            assert_eq!(copied(&from, &to), u64::from(size));
            assert!(std::fs::read(&to).unwrap() == bytes, "{size}");
        }
    }
}
