//! Reads a process's output until it ended, and decides when that is.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::super::state::Server;
use super::spool::CHUNK;
use super::{Exit, Output, Process, signal, spawn};
use crate::wire::{EndEvent, Stream, signal_description};

/// How long children that a process leaves behind may go on to write to its output, before its end
/// is told without them. What they write later is still kept.
const GRACE: Duration = Duration::from_millis(100);

thread_local! {
    /// What every process's output is read into before it is kept: one buffer for all of them.
    static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Keeps one output until nobody can write to it any more.
pub(super) async fn pump(
    process: Rc<Process>,
    index: usize,
    stream: Stream,
    output: Rc<AsyncFd<OwnedFd>>,
) {
    loop {
        process.spool.wait_for_room().await;
        let Ok(mut ready) = output.readable().await else { break };
        // While this one waited, the process's other output may have taken the room.
        if !process.spool.has_room() {
            continue;
        }
        let read = ready.try_io(|output| read_into_spool(&process, stream, output.get_ref()));
        match read {
            Ok(Ok(0)) => break,
            Ok(Ok(bytes)) => {
                if let Some(output) = process.outputs.borrow_mut().get_mut(index) {
                    output.read += bytes as u64;
                }
                if process.has_exited() {
                    process.changed.notify_waiters();
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            // EIO is how a terminal says that it is closed.
            Ok(Err(_)) => break,
            Err(_) => {}
        }
        tokio::task::consume_budget().await;
    }
    if let Some(output) = process.outputs.borrow_mut().get_mut(index) {
        output.closed = true;
    }
    process.changed.notify_waiters();
}

fn read_into_spool(process: &Process, stream: Stream, output: &OwnedFd) -> io::Result<usize> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(CHUNK, 0);
        // SAFETY: the pointer and the length are those of one buffer.
        let read = unsafe { libc::read(output.as_raw_fd(), buffer.as_mut_ptr().cast(), CHUNK) };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        if read > 0 {
            process.spool.append(stream, &buffer[..read]);
        }
        Ok(read)
    })
}

/// Waits until a process ended, ends it when its time is over, and tells the table.
pub(super) async fn supervise(
    server: Rc<Server>,
    process: Rc<Process>,
    outputs: Vec<Rc<AsyncFd<OwnedFd>>>,
    limit: Option<Duration>,
) {
    let exit = match limit {
        None => wait_for_exit(&process).await,
        Some(limit) => match tokio::time::timeout(limit, wait_for_exit(&process)).await {
            Ok(exit) => exit,
            Err(_) => {
                signal::send(&process, libc::SIGKILL);
                wait_for_exit(&process).await
            }
        },
    };
    for (state, output) in process.outputs.borrow_mut().iter_mut().zip(&outputs) {
        state.written_at_exit = Some(state.read + spawn::waiting(output.get_ref()));
    }
    drop(outputs);
    wait_for_output(&process).await;
    process.stdin.borrow_mut().take();
    process.terminal.borrow_mut().take();
    process.ended.set(Some(SystemTime::now()));
    *process.end.borrow_mut() = Some(end_event(exit, process.spool.written()));
    server.processes.retire(&process);
    process.spool.wake();
}

pub(super) async fn wait_for_exit(process: &Process) -> Exit {
    loop {
        let changed = process.changed.notified();
        if let Some(exit) = process.exit.get() {
            return exit;
        }
        changed.await;
    }
}

/// Until each output is closed; or, when others hold one open, until what the process itself
/// wrote is read and the grace is over.
async fn wait_for_output(process: &Process) {
    let grace = Instant::now() + GRACE;
    loop {
        let changed = process.changed.notified();
        let is_read = |output: &Output| {
            output.closed || output.written_at_exit.is_some_and(|written| output.read >= written)
        };
        let (closed, read) = {
            let outputs = process.outputs.borrow();
            (outputs.iter().all(|it| it.closed), outputs.iter().all(is_read))
        };
        if closed || (read && Instant::now() >= grace) {
            return;
        }
        if read {
            let _ = tokio::time::timeout_at(grace, changed).await;
        } else {
            changed.await;
        }
    }
}

fn end_event(exit: Exit, written: u64) -> EndEvent {
    let (exit_code, exited, status, signal) = match exit {
        Exit::Code(code) => (code, true, format!("exit status {code}"), None),
        Exit::Signal { number, dumped } => {
            let dumped = if dumped { " (core dumped)" } else { "" };
            let status = format!("signal: {}{dumped}", signal_description(number));
            (-1, false, status, Some(number))
        }
    };
    let error = (exit_code != 0).then(|| status.clone());
    EndEvent { exit_code, exited, status, error, signal, offset: Some(written) }
}
