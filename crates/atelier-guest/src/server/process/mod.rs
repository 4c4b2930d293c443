//! Processes of the sandbox.
//!
//! `rpc.rs` is what callers ask for, `table.rs` knows the processes, `start.rs` and `spawn.rs`
//! start one, `run.rs` reads from it until it ended, `spool.rs` and `ring.rs` keep its output,
//! `follow.rs` sends that to those who follow, `input.rs` and `signal.rs` act on it.

mod follow;
mod input;
mod reap;
mod ring;
mod rpc;
mod run;
mod signal;
mod spawn;
mod spool;
mod start;
mod table;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, Notify};

use crate::wire::{EndEvent, ProcessConfig, ProcessInfo};

pub(super) use reap::reap;
pub(super) use rpc::{call, stream};
pub(super) use table::Table;

/// A process that runs, or ended not long ago.
pub(super) struct Process {
    pid: u32,
    config: ProcessConfig,
    tag: Option<String>,
    spool: Rc<spool::Spool>,
    terminal: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    stdin: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    /// Held by whoever writes input, so that writes keep their order.
    writing: Mutex<()>,
    /// How it ended, as soon as that is known; its output may still be on its way.
    exit: Cell<Option<Exit>>,
    /// How it ended, when all its output is in the spool.
    end: RefCell<Option<EndEvent>>,
    /// Wakes whoever waits for its exit or for the end of its output.
    changed: Notify,
    outputs: RefCell<Vec<Output>>,
    started: SystemTime,
    ended: Cell<Option<SystemTime>>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Code(i32),
    Signal { number: i32, dumped: bool },
}

/// How far one of a process's outputs was read.
#[derive(Debug, Clone, Copy, Default)]
struct Output {
    read: u64,
    /// How much there was to read when the process ended.
    written_at_exit: Option<u64>,
    closed: bool,
}

impl Process {
    fn terminal(&self) -> Option<Rc<AsyncFd<OwnedFd>>> {
        self.terminal.borrow().clone()
    }

    fn has_exited(&self) -> bool {
        self.exit.get().is_some()
    }

    fn info(&self) -> ProcessInfo {
        ProcessInfo {
            config: self.config.clone(),
            pid: self.pid,
            tag: self.tag.clone(),
            end: self.end.borrow().clone(),
            started_at: None,
            ended_at: None,
        }
    }

    /// The same with its times, which callers of E2B's protocol know nothing of.
    fn info_with_times(&self) -> ProcessInfo {
        let millis = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(0)
        };
        ProcessInfo {
            started_at: Some(millis(self.started)),
            ended_at: self.ended.get().map(millis),
            ..self.info()
        }
    }
}
