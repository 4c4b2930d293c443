//! A folder as the tar that an engine builds an image from.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::ignored::Ignored;

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be sent.
const WAITING: usize = 8;

/// A file beside those of the folder.
pub(crate) struct Extra {
    pub(crate) name: String,
    pub(crate) contents: Vec<u8>,
}

/// The folder without what is left out, as it is read. Files belong to root, as for any builder.
pub(crate) fn archive(
    folder: PathBuf,
    ignored: Ignored,
    extra: Option<Extra>,
    keep: Vec<PathBuf>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let end = sender.clone();
        let mut out = Builder::new(Pieces { sender, waiting: Vec::with_capacity(PIECE) });
        let packing = Packing { folder: &folder, ignored: &ignored, keep: &keep };
        let done = packing
            .add(&mut out, Path::new(""))
            .and_then(|()| extra.map_or(Ok(()), |extra| packing.beside(&mut out, &extra)))
            .and_then(|()| out.into_inner()?.flush());
        if let Err(error) = done {
            // Whoever no longer listens has an error of its own.
            let _ = end.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, |mut receiver: Receiver<io::Result<Bytes>>| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
}

struct Packing<'a> {
    folder: &'a Path,
    ignored: &'a Ignored,
    /// What goes along even if it is left out.
    keep: &'a [PathBuf],
}

impl Packing<'_> {
    /// What is in a folder below the top one, by name.
    fn add(&self, out: &mut Builder<Pieces>, below: &Path) -> io::Result<()> {
        let place = self.folder.join(below);
        let entries: io::Result<Vec<_>> =
            fs::read_dir(&place).map_err(|e| at(&place, &e))?.collect();
        let mut names: Vec<_> = entries?.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let path = below.join(name);
            let left_out = self.ignored.leaves_out(&path) && !self.keep.contains(&path);
            let place = self.folder.join(&path);
            let meta = fs::symlink_metadata(&place).map_err(|e| at(&place, &e))?;
            if !left_out {
                one(out, &path, &place, &meta).map_err(|e| at(&place, &e))?;
            }
            let wanted = || self.keep.iter().any(|kept| kept.starts_with(&path));
            if meta.is_dir() && (!left_out || self.ignored.has_exceptions() || wanted()) {
                self.add(out, &path)?;
            }
        }
        Ok(())
    }

    fn beside(&self, out: &mut Builder<Pieces>, extra: &Extra) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(extra.contents.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(EntryType::Regular);
        out.append_data(&mut header, &extra.name, &extra.contents[..])
    }
}

fn one(out: &mut Builder<Pieces>, path: &Path, place: &Path, meta: &Metadata) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_metadata(meta);
    header.set_uid(0);
    header.set_gid(0);
    if meta.is_dir() {
        return out.append_data(&mut header, path, io::empty());
    }
    if meta.is_symlink() {
        header.set_size(0);
        return out.append_link(&mut header, path, fs::read_link(place)?);
    }
    if meta.is_file() {
        let mut contents = File::open(place)?.take(meta.len());
        out.append_data(&mut header, path, &mut contents)?;
        if contents.limit() > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
    }
    // Sockets and devices are in no image.
    Ok(())
}

fn at(place: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", place.display()))
}

/// Writes into the channel.
struct Pieces {
    sender: Sender<io::Result<Bytes>>,
    waiting: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.waiting));
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn what_is_left_out_stays_out_and_modes_and_links_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("run.sh", 0o755);
        file("secret/key", 0o600);
        file("Dockerfile", 0o644);
        symlink("run.sh", folder.path().join("link")).unwrap();
        let ignored = Ignored::parse("secret\nDockerfile\n");
        let keep = vec![PathBuf::from("Dockerfile")];
        let extra = Extra { name: ".more".into(), contents: b"text".to_vec() };
        let pieces = archive(folder.path().to_owned(), ignored, Some(extra), keep);
        let bytes = pieces.try_collect::<Vec<_>>().await.unwrap().concat();
        let mut found = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.uid().unwrap(), 0);
            let name = entry.path().unwrap().display().to_string();
            found.push((name, header.mode().unwrap() & 0o777));
        }
        let expected =
            [("Dockerfile", 0o644), ("link", 0o777), ("run.sh", 0o755), (".more", 0o644)];
        assert_eq!(found, expected.map(|(name, mode)| (name.to_owned(), mode)));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error_and_no_empty_image() {
        let pieces = archive("/no/such/folder".into(), Ignored::default(), None, Vec::new());
        let error = pieces.try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
