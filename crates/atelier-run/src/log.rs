//! The kept output of one command: its newest bytes, in at most two files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A file of this size is set aside and a new one begun, so that at least so much is kept.
const ENOUGH: u64 = 4 << 20;

/// Where output of an environment's commands lies, in the environment's folder.
pub(crate) fn folder(environment: &Path) -> PathBuf {
    environment.join("logs")
}

/// Writes one command's output down.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    written: u64,
}

impl LogWriter {
    /// Begins, or goes on with, the log of a command.
    pub(crate) fn open(folder: &Path, run: Uuid) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(run.to_string());
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let written = file.metadata()?.len();
        Ok(Self { path, file, written })
    }

    /// Adds output.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written > ENOUGH {
            fs::rename(&self.path, older(&self.path))?;
            let mut options = OpenOptions::new();
            self.file = options.append(true).create(true).mode(0o600).open(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// What is kept of a command's output; nothing when it never wrote.
pub(crate) fn read(folder: &Path, run: Uuid) -> io::Result<Vec<u8>> {
    let path = folder.join(run.to_string());
    let mut bytes = Vec::new();
    for file in [older(&path), path] {
        match fs::read(&file) {
            Ok(more) => bytes.extend(more),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
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
            log.write(&vec![n; 512 << 10]).unwrap();
        }
        let kept = read(dir.path(), run).unwrap();
        assert_eq!(kept.last(), Some(&39));
        assert!((4 << 20..10 << 20).contains(&kept.len()), "{}", kept.len());
        assert!(read(dir.path(), Uuid::now_v7()).unwrap().is_empty());
    }
}
