//! Files that hold what is in a volume, or what a service's own tool wrote: compressed, written as it
//! comes and read as it is wanted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Problem};
use atelier_engine::{Contents, EngineError};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::error::broken;

/// Pieces that wait between the engine and the disk.
const WAITING: usize = 16;
/// How much is read at one time.
const PIECE: usize = 256 * 1024;

/// Writes what comes into a new file; gives its size.
pub(super) async fn write(path: &Path, mut contents: Contents) -> Result<u64, Problem> {
    let (sender, receiver) = channel(WAITING);
    let written = write_pieces(path, receiver);
    let forward = async {
        while let Some(piece) = contents.next().await {
            // Who writes has failed, and says why.
            if sender.send(piece?).await.is_err() {
                break;
            }
        }
        drop(sender);
        Ok::<_, EngineError>(())
    };
    let (forwarded, written) = tokio::join!(forward, written);
    forwarded?;
    written
}

/// The same for pieces that somebody sends.
pub(super) async fn write_pieces(path: &Path, pieces: Receiver<Bytes>) -> Result<u64, Problem> {
    let to = path.to_owned();
    let written = tokio::task::spawn_blocking(move || compress(&to, pieces)).await;
    written.map_err(|e| broken(&e))?.map_err(|e| unwritable(path, &e))
}

fn compress(path: &Path, mut pieces: Receiver<Bytes>) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Level 1: disks and engines are slower than it, and services may stand still meanwhile.
    let mut encoder = zstd::Encoder::new(file, 1)?;
    encoder.include_checksum(true)?;
    while let Some(piece) = pieces.blocking_recv() {
        encoder.write_all(&piece)?;
    }
    let file = encoder.finish()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// What was written.
pub(super) fn read(path: PathBuf) -> Contents {
    let (sender, receiver) = channel(WAITING);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = decompress(&path, &sender) {
            let doing = format!("be given what is in {}", path.display());
            let _ =
                sender.blocking_send(Err(EngineError::Refused { doing, why: error.to_string() }));
        }
    });
    let next = |mut receiver: Receiver<_>| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    };
    Box::pin(futures_util::stream::unfold(receiver, next))
}

fn decompress(path: &Path, sender: &Sender<Result<Bytes, EngineError>>) -> io::Result<()> {
    let mut decoder = zstd::Decoder::new(File::open(path)?)?;
    loop {
        let mut piece = vec![0; PIECE];
        let count = decoder.read(&mut piece)?;
        piece.truncate(count);
        if count == 0 || sender.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Problem {
    let detail = format!("{} can't be written: {error}", path.display());
    Problem::new("home.unusable", ExitCode::Configuration, detail)
        .hint("check that ATELIER_HOME is writable and that its disk is not full")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(of: Vec<Result<Bytes, EngineError>>) -> Contents {
        Box::pin(futures_util::stream::iter(of))
    }

    async fn whole(mut contents: Contents) -> Result<Vec<u8>, EngineError> {
        let mut all = Vec::new();
        while let Some(piece) = contents.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zst");
        let data: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
        let parts = data.chunks(70_001).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        assert!(write(&path, pieces(parts)).await.unwrap() > 0);
        assert_eq!(whole(read(path)).await.unwrap(), data);
    }

    #[tokio::test]
    async fn a_file_that_was_cut_off_is_no_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zst");
        let data = Bytes::from((0..90_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        let size = write(&path, pieces(vec![Ok(data)])).await.unwrap();
        File::options().write(true).open(&path).unwrap().set_len(size - 9).unwrap();
        assert!(whole(read(path)).await.is_err());
    }

    #[tokio::test]
    async fn a_source_that_fails_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let failed = EngineError::Refused { doing: "read".into(), why: "it is gone".into() };
        let from = pieces(vec![Ok(Bytes::from_static(b"a")), Err(failed)]);
        let problem = write(&dir.path().join("a.zst"), from).await.unwrap_err();
        assert!(problem.detail.contains("it is gone"), "{}", problem.detail);
    }
}
