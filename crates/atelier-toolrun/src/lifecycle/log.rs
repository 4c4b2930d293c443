//! The log of a kept process: written with a limit of size, read from the end, followed over its
//! rotations.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file of more bytes is put aside.
const LARGEST: u64 = 10 * 1024 * 1024;
/// So many are kept besides the newest.
const KEPT: u32 = 3;

/// A log that does not grow without end.
#[derive(Debug)]
pub(crate) struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    largest: u64,
}

impl Rotating {
    /// Opens it at its end.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::limited(path, LARGEST)
    }

    fn limited(path: &Path, largest: u64) -> io::Result<Self> {
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, largest })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            let _ = fs::rename(aside(&self.path, number), aside(&self.path, number + 1));
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        *self = Self::limited(&self.path, self.largest)?;
        Ok(())
    }
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Where it cannot be put aside, it is better to have one that is too large than none.
        if self.size > 0 && self.size + bytes.len() as u64 > self.largest && self.rotate().is_err()
        {
            self.size = 0;
        }
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A log as it is read: the last lines first, then whatever comes.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    inode: u64,
}

impl Tail {
    /// Stands before the last `lines` lines. There may be no file yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, lines: usize) -> io::Result<Self> {
        let mut tail = Self { path: path.to_owned(), file: None, inode: 0 };
        tail.reopen()?;
        if let Some(file) = &mut tail.file {
            let begin = before_last(file, lines)?;
            file.seek(SeekFrom::Start(begin))?;
        }
        Ok(tail)
    }

    /// What has been written since; nothing when there is nothing. A file that was put aside is read to
    /// its end first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn more(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut bytes)?;
        }
        let other = fs::metadata(&self.path).is_ok_and(|now| now.ino() != self.inode);
        if bytes.is_empty() && (other || self.file.is_none()) {
            self.reopen()?;
            if let Some(file) = &mut self.file {
                file.read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }

    fn reopen(&mut self) -> io::Result<()> {
        match File::open(&self.path) {
            Ok(file) => {
                self.inode = file.metadata()?.ino();
                self.file = Some(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.file = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Where the last `lines` lines of a file begin.
fn before_last(file: &mut File, lines: usize) -> io::Result<u64> {
    const PIECE: u64 = 64 * 1024;
    let end = file.seek(SeekFrom::End(0))?;
    let (mut at, mut found) = (end, 0);
    while at > 0 {
        let begin = at.saturating_sub(PIECE);
        let mut piece = vec![0; usize::try_from(at - begin).unwrap_or_default()];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut piece)?;
        for (offset, byte) in piece.iter().enumerate().rev() {
            let place = begin + offset as u64;
            // The break at the very end ends the last line and begins none.
            if *byte == b'\n' && place + 1 < end {
                found += 1;
                if found == lines {
                    return Ok(place + 1);
                }
            }
        }
        at = begin;
    }
    Ok(if lines == 0 { end } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_put_aside_when_it_is_full_and_followed_into_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Rotating::limited(&path, 20).unwrap();
        let mut tail = Tail::open(&path, 10).unwrap();
        let mut seen = Vec::new();
        for number in 0..12 {
            writeln!(log, "line {number:03}").unwrap();
            seen.extend(tail.more().unwrap());
        }
        seen.extend(tail.more().unwrap());
        let text = String::from_utf8(seen).unwrap();
        let expected: Vec<String> = (0..12).map(|number| format!("line {number:03}")).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert!(aside(&path, 3).exists() && !aside(&path, 4).exists());
    }

    #[test]
    fn the_last_lines_are_found_without_reading_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: String = (0..40_000).map(|number| format!("{number}\n")).collect();
        fs::write(&path, &text).unwrap();
        let last = |lines| Tail::open(&path, lines).unwrap().more().unwrap();
        assert_eq!(last(2), b"39998\n39999\n");
        assert_eq!(last(0), b"");
        assert_eq!(last(100_000).len(), text.len());
        fs::write(&path, "a\nb").unwrap();
        assert_eq!(last(1), b"b");
    }
}
