//! Input: bytes to a process's pipe or terminal, in the order in which they came.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::unix::AsyncFd;

use super::super::rpc::parse;
use super::{Process, Table};
use crate::wire::{Code, ConnectError, Decoder, ProcessInput, StreamInputRequest};

/// Writes all of an input; waits while the process does not read.
pub(super) async fn send(process: &Process, input: &ProcessInput) -> Result<(), ConnectError> {
    let _turn = process.writing.lock().await;
    let (target, bytes) = match (input, process.terminal()) {
        (ProcessInput::Pty(bytes), Some(terminal)) => (terminal, bytes),
        (ProcessInput::Pty(_), None) => {
            return Err(refused("the process has no terminal: send to its stdin"));
        }
        (ProcessInput::Stdin(_), Some(_)) => {
            return Err(refused("the process has a terminal: send to that, not to its stdin"));
        }
        (ProcessInput::Stdin(bytes), None) => {
            let stdin = process.stdin.borrow().clone();
            (stdin.ok_or_else(|| refused("stdin not enabled or closed"))?, bytes)
        }
    };
    let pid = process.pid;
    tokio::select! {
        written = write_all(&target, &bytes.0) => written.map_err(|error| {
            ConnectError::internal(format!("error writing to process {pid}: {error}"))
        }),
        () = exited(process) => {
            Err(ConnectError::not_found(format!("process with pid {pid} ended")))
        }
    }
}

/// Closes a process's pipe, after what was sent before.
pub(super) async fn close(process: &Process) -> Result<(), ConnectError> {
    if process.terminal().is_some() {
        return Err(ConnectError::new(
            Code::Unknown,
            "error closing stdin: cannot close stdin for PTY process, send Ctrl+D (0x04) instead",
        ));
    }
    let _turn = process.writing.lock().await;
    process.stdin.borrow_mut().take();
    Ok(())
}

/// Sends what arrives in one long call.
pub(super) async fn stream(table: &Table, mut body: Incoming) -> Result<(), ConnectError> {
    let mut decoder = Decoder::default();
    let mut process = None;
    while let Some(frame) = body.frame().await {
        let broken =
            |error| ConnectError::new(Code::Unknown, format!("error streaming input: {error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        decoder.push(&data);
        while let Some(frame) = decoder.next_frame()? {
            match parse(&frame.message)? {
                StreamInputRequest::Start(start) => process = Some(table.find(&start.process)?),
                StreamInputRequest::Data(data) => {
                    let none = || ConnectError::invalid("input before the start message");
                    send(process.as_ref().ok_or_else(none)?, &data.input).await?;
                }
                StreamInputRequest::Keepalive(_) => {}
            }
        }
    }
    Ok(())
}

fn refused(why: &str) -> ConnectError {
    ConnectError::new(Code::FailedPrecondition, why)
}

async fn exited(process: &Process) {
    loop {
        let changed = process.changed.notified();
        if process.has_exited() {
            return;
        }
        changed.await;
    }
}

async fn write_all(target: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = target.writable().await?;
        let written = ready.try_io(|fd| {
            // SAFETY: the pointer and the length are those of one slice.
            let written =
                unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
            usize::try_from(written).map_err(|_| io::Error::last_os_error())
        });
        match written {
            Ok(Ok(written)) => bytes = &bytes[written..],
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}
