//! One process's output between those who read it from the process and those who follow it.
//!
//! While somebody follows, nothing that they have not read is overwritten: the pump waits, the
//! pipe fills, and the process is slowed. While nobody does, output goes on and the oldest is lost.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::sync::Notify;

use super::ring::{Place, Ring};
use crate::wire::{GapEvent, Stream};

/// The most that is read from a process, or sent to a follower, at once.
pub(super) const CHUNK: usize = 64 << 10;

pub(super) struct Spool {
    ring: RefCell<Ring>,
    followers: RefCell<Vec<(u64, u64)>>,
    next_follower: Cell<u64>,
    forgotten: Cell<bool>,
    fresh: Notify,
    room: Notify,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// With what is written from now on.
    Now,
    /// With the byte of this offset, as far as it is kept.
    Offset(u64),
}

/// One who reads a spool; dropped, the process no longer waits for them.
pub(super) struct Follower {
    spool: Rc<Spool>,
    id: u64,
    place: Place,
}

impl Spool {
    pub(super) fn new(file: Option<PathBuf>) -> Rc<Self> {
        Rc::new(Self {
            ring: RefCell::new(Ring::new(file)),
            followers: RefCell::default(),
            next_follower: Cell::default(),
            forgotten: Cell::default(),
            fresh: Notify::new(),
            room: Notify::new(),
        })
    }

    /// How many bytes were ever written.
    pub(super) fn written(&self) -> u64 {
        self.ring.borrow().newest().offset
    }

    /// Bytes in memory and bytes on disk.
    pub(super) fn footprint(&self) -> (u64, u64) {
        self.ring.borrow().footprint()
    }

    pub(super) fn clear(&self) {
        if self.followers.borrow().is_empty() {
            self.ring.borrow_mut().clear();
        }
    }

    /// Adds output and tells the followers.
    pub(super) fn append(&self, stream: Stream, bytes: &[u8]) {
        if self.forgotten.get() && self.followers.borrow().is_empty() {
            return;
        }
        // A disk that is full loses this output rather than the process.
        let _ = self.ring.borrow_mut().append(stream, bytes);
        self.fresh.notify_waiters();
    }

    /// Ends when something is written, or the process ends, after this call.
    pub(super) fn fresh(&self) -> tokio::sync::futures::Notified<'_> {
        self.fresh.notified()
    }

    /// Wakes every follower, because the process ended.
    pub(super) fn wake(&self) {
        self.fresh.notify_waiters();
    }

    /// Waits until another chunk can be kept without a follower losing any.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let room = self.room.notified();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    /// Whether another chunk can be kept without a follower losing any.
    pub(super) fn has_room(&self) -> bool {
        let slowest = self.followers.borrow().iter().map(|(_, position)| *position).min();
        slowest.is_none_or(|position| self.ring.borrow().has_room(position, CHUNK as u64))
    }

    /// Gives everything back and keeps nothing more, unless somebody follows.
    pub(super) fn forget(&self) {
        self.forgotten.set(true);
        self.clear();
    }

    /// Begins to follow; also says what is missing.
    pub(super) fn follow(self: &Rc<Self>, from: From) -> io::Result<(Follower, Option<GapEvent>)> {
        let ring = self.ring.borrow();
        let (place, gap) = match from {
            From::Now => (ring.newest(), None),
            From::Offset(offset) => {
                let oldest = ring.oldest().offset;
                let gap =
                    (offset < oldest).then_some(GapEvent { from: Some(offset), to: Some(oldest) });
                (ring.find(offset)?, gap)
            }
        };
        let id = self.next_follower.get();
        self.next_follower.set(id + 1);
        self.followers.borrow_mut().push((id, place.position));
        Ok((Follower { spool: Rc::clone(self), id, place }, gap))
    }
}

impl Follower {
    pub(super) fn offset(&self) -> u64 {
        self.place.offset
    }

    /// What comes next, if it is there: its kind, with its bytes appended to `into`.
    pub(super) fn read(&mut self, into: &mut Vec<u8>) -> io::Result<Option<Stream>> {
        let found = self.spool.ring.borrow().read(&mut self.place, CHUNK as u64, into)?;
        let mut followers = self.spool.followers.borrow_mut();
        if let Some(follower) = followers.iter_mut().find(|(id, _)| *id == self.id) {
            follower.1 = self.place.position;
        }
        self.spool.room.notify_waiters();
        Ok(found)
    }

    /// The spool, to wait for more of it.
    pub(super) fn spool(&self) -> Rc<Spool> {
        Rc::clone(&self.spool)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.spool.followers.borrow_mut().retain(|(id, _)| *id != self.id);
        self.spool.room.notify_waiters();
    }
}
