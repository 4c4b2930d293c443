//! A folder of this machine becomes a tar stream.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tar::{Builder, Header, HeaderMode};
use tokio::sync::mpsc;

use super::BLOCK;

/// Bytes on their way into a channel, a block at a time.
pub(super) struct Blocks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    now: BytesMut,
}

impl Blocks {
    pub(super) fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { sender, now: BytesMut::with_capacity(BLOCK) }
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(BLOCK - self.now.len());
        self.now.extend_from_slice(&bytes[..length]);
        if self.now.len() == BLOCK {
            self.flush()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.now.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.now, BytesMut::with_capacity(BLOCK)).freeze();
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(full)).map_err(gone)
    }
}

/// Packs what is in a folder. Symlinks below it are kept, not followed. The number of sockets,
/// pipes and devices, which are left out.
pub(super) fn pack(folder: &Path, into: impl Write) -> io::Result<u64> {
    let mut tar = Builder::new(into);
    let mut left_out = 0;
    let found = fs::metadata(folder).map_err(|e| at(folder, &e))?;
    let mut waiting = vec![(folder.to_owned(), PathBuf::from("./"), found)];
    while let Some((here, name, found)) = waiting.pop() {
        let kind = found.file_type();
        let packed = if kind.is_dir() {
            waiting.extend(children(&here, &name)?);
            tar.append_data(&mut header(&found, 0), &name, io::empty())
        } else if kind.is_symlink() {
            let target = fs::read_link(&here).map_err(|e| at(&here, &e))?;
            tar.append_link(&mut header(&found, 0), &name, target)
        } else if kind.is_file() {
            let file = File::open(&here).map_err(|e| at(&here, &e))?;
            let size = found.len();
            // A file that gets shorter meanwhile is filled up: its size has been said.
            let whole = file.take(size).chain(io::repeat(0)).take(size);
            tar.append_data(&mut header(&found, size), &name, whole)
        } else {
            left_out += 1;
            Ok(())
        };
        packed.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => error,
            _ => at(&here, &error),
        })?;
    }
    tar.into_inner()?.flush()?;
    Ok(left_out)
}

/// What is in a folder, the last name first: it is taken from the end.
fn children(here: &Path, name: &Path) -> io::Result<Vec<(PathBuf, PathBuf, Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(here).map_err(|e| at(here, &e))? {
        let entry = entry.map_err(|e| at(here, &e))?;
        match entry.metadata() {
            Ok(metadata) => found.push((entry.path(), name.join(entry.file_name()), metadata)),
            // It went away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&entry.path(), &error)),
        }
    }
    found.sort_by(|a, b| b.1.cmp(&a.1));
    Ok(found)
}

fn header(found: &Metadata, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata_in_mode(found, HeaderMode::Complete);
    header.set_size(size);
    header
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
