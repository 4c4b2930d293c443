//! The processes that run, and those that ended not long ago.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Exit, Process};
use crate::wire::{ConnectError, ProcessInfo, Selector};

/// How many ended processes are kept.
const ENDED: usize = 64;
/// How long.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// How much of their output stays in memory, and how much on disk, in bytes; how they ended is
/// kept beyond that.
const OUTPUT_IN_MEMORY: u64 = 2 << 20;
const OUTPUT_ON_DISK: u64 = 64 << 20;

pub(in super::super) struct Table {
    running: RefCell<BTreeMap<u32, Rc<Process>>>,
    ended: RefCell<VecDeque<(Instant, Rc<Process>)>>,
    spool: Option<PathBuf>,
}

impl Table {
    pub(in super::super) fn new(spool: Option<PathBuf>) -> Self {
        Self { running: RefCell::default(), ended: RefCell::default(), spool }
    }

    /// Where a new process's output goes when it outgrows memory. The pid is not known yet.
    pub(super) fn spool_file(&self) -> Option<PathBuf> {
        thread_local!(static NEXT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
        let number = NEXT.replace(NEXT.get() + 1);
        self.spool.as_ref().map(|folder| folder.join(format!("{number}.log")))
    }

    pub(super) fn add(&self, process: Rc<Process>) {
        // The kernel gave an ended process's number away; its name goes to whoever asks next too.
        self.ended.borrow_mut().retain(|(_, ended)| {
            ended.pid != process.pid && (ended.tag.is_none() || ended.tag != process.tag)
        });
        self.running.borrow_mut().insert(process.pid, process);
    }

    /// A process that runs.
    pub(super) fn find(&self, selector: &Selector) -> Result<Rc<Process>, ConnectError> {
        let running = self.running.borrow();
        let found = match selector {
            Selector::Pid(pid) => running.get(pid),
            Selector::Tag(tag) => running.values().find(|it| it.tag.as_ref() == Some(tag)),
        };
        found.cloned().ok_or_else(|| unknown(selector))
    }

    /// A process that runs or is still kept.
    pub(super) fn find_kept(&self, selector: &Selector) -> Result<Rc<Process>, ConnectError> {
        self.forget_old();
        self.find(selector).or_else(|error| {
            let ended = self.ended.borrow();
            let mut newest_first = ended.iter().rev().map(|(_, process)| process);
            let found = newest_first.find(|process| match selector {
                Selector::Pid(pid) => process.pid == *pid,
                Selector::Tag(tag) => process.tag.as_ref() == Some(tag),
            });
            found.cloned().ok_or(error)
        })
    }

    pub(super) fn list(&self, with_ended: bool) -> Vec<ProcessInfo> {
        self.forget_old();
        let running = self.running.borrow();
        if !with_ended {
            return running.values().map(|process| process.info()).collect();
        }
        let ended = self.ended.borrow();
        let ended = ended.iter().map(|(_, process)| process);
        running.values().chain(ended).map(|process| process.info_with_times()).collect()
    }

    pub(super) fn running(&self) -> Vec<Rc<Process>> {
        self.running.borrow().values().cloned().collect()
    }

    /// Tells a process how it ended; says nothing for one that is not ours.
    pub(super) fn exited(&self, pid: u32, exit: Exit) {
        if let Some(process) = self.running.borrow().get(&pid) {
            process.exit.set(Some(exit));
            process.changed.notify_waiters();
        }
    }

    /// Moves a process to those that ended.
    pub(super) fn retire(&self, process: &Rc<Process>) {
        self.running.borrow_mut().remove(&process.pid);
        self.ended.borrow_mut().push_back((Instant::now(), Rc::clone(process)));
        self.forget_old();
    }

    fn forget_old(&self) {
        let mut ended = self.ended.borrow_mut();
        while ended.len() > ENDED || ended.front().is_some_and(|(at, _)| at.elapsed() > KEPT_FOR) {
            // Children that it left behind may still write; that is read, and not kept.
            ended.pop_front().inspect(|(_, process)| process.spool.forget());
        }
        let (mut memory, mut disk) = (0, 0);
        for (_, process) in ended.iter().rev() {
            let (bytes, on_disk) = process.spool.footprint();
            memory += bytes;
            disk += on_disk;
            if memory > OUTPUT_IN_MEMORY || disk > OUTPUT_ON_DISK {
                process.spool.clear();
                memory -= bytes;
                disk -= on_disk;
            }
        }
    }
}

fn unknown(selector: &Selector) -> ConnectError {
    ConnectError::not_found(match selector {
        Selector::Pid(pid) => format!("process with pid {pid} not found"),
        Selector::Tag(tag) => format!("process with tag {tag} not found"),
    })
}
