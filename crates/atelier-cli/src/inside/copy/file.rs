//! Single files: their bytes as they are, in big pieces.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use atelier_client::guest::client::{FileStream, Guest};
use atelier_client::guest::wire::{EntryInfo, ProcessConfig, ProcessEvent, StartRequest};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::beneath::{Kept, Root, keep};
use super::{BLOCK, WAITING, failed, last_name};
use crate::failure::Failure;
use crate::output::note;

/// Sends what a file holds, a block at a time, until its end or until nobody wants more.
pub(super) fn read_blocks(mut from: impl Read, sender: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut block = BytesMut::zeroed(BLOCK);
        let read = match from.read(&mut block) {
            Ok(0) => return,
            Ok(length) => {
                block.truncate(length);
                Ok(block.freeze())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let ended = read.is_err();
        if sender.blocking_send(read).is_err() || ended {
            return;
        }
    }
}

/// The same of standard input.
pub(crate) fn read_stdin(sender: &mpsc::Sender<io::Result<Bytes>>) {
    read_blocks(io::stdin().lock(), sender);
}

/// Copies a file in, with its mode.
pub(super) async fn file_in(guest: &Guest, from: &Path, to: &str) -> Result<(), Failure> {
    let unreadable = |error: io::Error| Failure::of_file("read", from, &error);
    let file = File::open(from).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || read_blocks(file, &sender));
    let written = guest.write_pieces(to, receiver).await;
    // It ends by itself: nobody takes more of it.
    let _ = reading.await;
    let path = written?.path;
    if guest.stat(&path).await?.mode != mode & 0o777 || mode > 0o777 {
        set_mode(guest, mode, &[path]).await?;
    }
    Ok(())
}

/// Gives files of the sandbox a mode, by its chmod.
pub(super) async fn set_mode(guest: &Guest, mode: u32, paths: &[String]) -> Result<(), Failure> {
    let mut args = vec![format!("{mode:o}"), "--".to_owned()];
    args.extend_from_slice(paths);
    if !run(guest, "chmod", args).await? {
        note(&format!("the mode {mode:o} was not kept: chmod in the sandbox failed"));
    }
    Ok(())
}

/// Runs a small command to its end; whether it is there and succeeds.
pub(super) async fn run(guest: &Guest, cmd: &str, args: Vec<String>) -> Result<bool, Failure> {
    let process = ProcessConfig { cmd: cmd.to_owned(), args, ..ProcessConfig::default() };
    let request = StartRequest { process, stdin: Some(false), ..StartRequest::default() };
    let mut stream = match guest.start(&request).await {
        Ok(stream) => stream,
        Err(error) if error.shell_code().is_some() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    while let Some(event) = stream.next().await {
        if let ProcessEvent::End(end) = event? {
            return Ok(end.shell_code() == 0);
        }
    }
    Ok(false)
}

/// Copies a file out, with its mode. What is at `to` is replaced when all has come.
pub(super) async fn file_out(
    guest: &Guest,
    from: &str,
    entry: &EntryInfo,
    to: &Path,
) -> Result<(), Failure> {
    let stream = guest.open_file(from).await?;
    let unwritable = |error: io::Error| Failure::of_file("written", to, &error);
    // A device or a pipe is written to; there is nothing to be replaced.
    if fs::metadata(to).is_ok_and(|it| it.file_type().is_char_device() || it.file_type().is_fifo())
    {
        let file = File::options().write(true).open(to).map_err(unwritable)?;
        return pour(stream, file).await?.map(drop).map_err(unwritable);
    }
    let (Some(name), folder) = (last_name(to), to.parent()) else {
        return Err(unwritable(io::ErrorKind::IsADirectory.into()));
    };
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::of_file("written to", folder, &io::ErrorKind::NotFound.into()));
    }
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(&name);
    temporary.push(format!(".atelier-{}", std::process::id()));
    let mut root = Root::open(folder).map_err(unwritable)?;
    let file = root.file(temporary.as_encoded_bytes()).map_err(unwritable)?;
    let temporary = folder.join(temporary);
    let kept = Kept { mode: entry.mode, modified: None };
    let poured = match pour(stream, file).await {
        Ok(written) => written
            .and_then(|file| keep(&file, kept))
            .and_then(|()| fs::rename(&temporary, to))
            .map_err(unwritable),
        Err(failure) => Err(failure),
    };
    if poured.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    poured
}

/// Writes what comes out of a sandbox into a file, in a thread of its own: a disk that takes its
/// time does not keep the next bytes from coming.
pub(super) async fn pour(
    mut stream: FileStream,
    mut file: File,
) -> Result<io::Result<File>, Failure> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(piece) = receiver.blocking_recv() {
            file.write_all(&piece)?;
        }
        Ok(file)
    });
    let mut failure = None;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => {
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let written: io::Result<File> = writing.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    match (failure, written) {
        (Some(error), Ok(_)) => Err(error.into()),
        (_, written) => Ok(written),
    }
}

/// The file's failure as one of a copy.
pub(super) fn unwritable(error: &io::Error) -> Failure {
    failed("a file cannot be written", error)
}
