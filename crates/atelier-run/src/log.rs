//! The kept output of one command: its newest bytes, in at most two files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A file of this size is set aside and a new one begun, so that at least so much is kept.
const ENOUGH: u64 = 4 << 20;

/// Where output of an environment's commands lies, in the environment's folder.
pub(crate) fn folder(environment: &Path) -> PathBuf {
    environment.join("logs")
}

/// Bytes at the beginning of each file: the offset of its first byte of output, big endian.
const HEAD_BYTES: usize = 8;

/// Writes one command's output down, each byte once, whoever brings it.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    /// Bytes of output in the file.
    written: u64,
    /// The offset of the next byte of output.
    next: u64,
}

impl LogWriter {
    /// Begins, or goes on with, the log of a command.
    pub(crate) fn open(folder: &Path, run: Uuid) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = path(folder, run);
        // Set aside, and its successor not begun yet: that is where a kill may come between.
        let (start, written) = match (extent(&path)?, extent(&older(&path))?) {
            (Some(found), _) => found,
            (None, Some((start, written))) => (start + written, 0),
            (None, None) => (0, 0),
        };
        Ok(Self { file: begin(&path, start)?, path, written, next: start + written })
    }

    /// The offset of the next byte that it wants.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Adds output that begins at an offset. What it has already is left out; what was lost on the way is
    /// lost here too.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let known = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) else {
            return Ok(());
        };
        let at = self.next.max(offset);
        // The offsets of a file have no holes.
        if self.written > ENOUGH || at > self.next {
            fs::rename(&self.path, older(&self.path))?;
            self.file = begin(&self.path, at)?;
            self.written = 0;
        }
        self.file.write_all(fresh)?;
        self.written += fresh.len() as u64;
        self.next = at + fresh.len() as u64;
        Ok(())
    }
}

/// What is kept of a command's output; nothing when it never wrote.
pub(crate) fn read(folder: &Path, run: Uuid) -> io::Result<Vec<u8>> {
    let path = path(folder, run);
    let mut bytes = Vec::new();
    for file in [older(&path), path] {
        match fs::read(&file) {
            Ok(more) => bytes.extend(more.get(HEAD_BYTES..).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

/// Opens a file to add to it, with its head if it is new.
fn begin(path: &Path, start: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() < HEAD_BYTES as u64 {
        file.set_len(0)?;
        file.write_all(&start.to_be_bytes())?;
    }
    Ok(file)
}

/// The offset of the first byte of a file's output, and how many there are.
fn extent(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let mut head = [0; HEAD_BYTES];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match file.read_exact(&mut head) {
        Ok(()) => Ok(Some((u64::from_be_bytes(head), file.metadata()?.len() - HEAD_BYTES as u64))),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

fn path(folder: &Path, run: Uuid) -> PathBuf {
    folder.join(format!("{run}.log"))
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("older")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_output_is_kept_and_the_files_stay_small() {
        let dir = tempfile::tempdir().unwrap();
        let run = Uuid::now_v7();
        let mut log = LogWriter::open(dir.path(), run).unwrap();
        for n in 0..40u8 {
            log.write(log.next(), &vec![n; 512 << 10]).unwrap();
        }
        let kept = read(dir.path(), run).unwrap();
        assert_eq!(kept.last(), Some(&39));
        assert!((4 << 20..10 << 20).contains(&kept.len()), "{}", kept.len());
        assert!(read(dir.path(), Uuid::now_v7()).unwrap().is_empty());
    }

    #[test]
    fn whoever_goes_on_with_it_writes_no_byte_twice() {
        let dir = tempfile::tempdir().unwrap();
        let run = Uuid::now_v7();
        LogWriter::open(dir.path(), run).unwrap().write(0, b"one two").unwrap();
        let mut next = LogWriter::open(dir.path(), run).unwrap();
        assert_eq!(next.next(), 7);
        next.write(4, b"two three").unwrap();
        next.write(0, b"one").unwrap();
        assert_eq!(read(dir.path(), run).unwrap(), b"one two three");
    }

    #[test]
    fn a_kill_between_two_files_loses_the_place_of_none() {
        let dir = tempfile::tempdir().unwrap();
        let run = Uuid::now_v7();
        LogWriter::open(dir.path(), run).unwrap().write(0, b"before").unwrap();
        let file = path(dir.path(), run);
        fs::rename(&file, older(&file)).unwrap();
        assert_eq!(LogWriter::open(dir.path(), run).unwrap().next(), 6);
        // And one in the middle of the new one's head.
        fs::write(&file, [0, 0]).unwrap();
        let mut log = LogWriter::open(dir.path(), run).unwrap();
        log.write(6, b" after").unwrap();
        assert_eq!(read(dir.path(), run).unwrap(), b"before after");
    }
}
