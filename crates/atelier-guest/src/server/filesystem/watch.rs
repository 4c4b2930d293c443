//! Watches: those that are a stream, and those that are asked from time to time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::statfs::statfs;
use tokio::sync::mpsc;

use super::inotify::Watch;
use crate::wire::{
    Code, ConnectError, FilesystemEvent, KeepAlive, WatchEvent, WatchRequest, WatcherEvents,
    WatcherId, end_frame, json_frame,
};

/// File systems that live elsewhere and do not tell what others do to them: NFS, CIFS, SMB, SMB 2
/// and FUSE, by the numbers of `linux/magic.h`.
const NETWORK: [i64; 5] = [0x6969, 0xFF53_4D42, 0x517B, 0xFE53_4D42, 0x6573_5546];
/// How many watchers there may be at a time that nobody removed.
const MOST: usize = 256;
/// How many events a watcher keeps that nobody asks for.
const MOST_EVENTS: usize = 16_384;

/// Begins to watch a folder.
pub(super) fn open(path: &Path, request: &WatchRequest) -> Result<Watch, ConnectError> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(ConnectError::invalid(format!("path {shown} not a directory"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ConnectError::not_found(format!("path {shown} not found")));
        }
        Err(error) => {
            return Err(ConnectError::internal(format!("error statting path {shown}: {error}")));
        }
    }
    if !request.allow_network_mounts {
        let kind = statfs(path)
            .map_err(|error| ConnectError::internal(format!("error checking mount: {error}")))?;
        if NETWORK.contains(&kind.filesystem_type().0) {
            let why = format!("cannot watch path on network filesystem: {shown}");
            return Err(ConnectError::invalid(why));
        }
    }
    Watch::new(path, request)
        .map_err(|error| ConnectError::internal(format!("error watching {shown}: {error}")))
}

/// Sends what happens until nobody reads any more.
pub(super) async fn send(mut watch: Watch, keepalive: Duration, sender: mpsc::Sender<Bytes>) {
    let mut event = Some(WatchEvent::Start(KeepAlive {}));
    let mut waiting = std::collections::VecDeque::new();
    loop {
        if let Some(message) = event.take() {
            let Ok(frame) = json_frame(&message) else { return };
            if sender.send(frame).await.is_err() {
                return;
            }
        }
        event = waiting.pop_front().map(|event| WatchEvent::Filesystem(Box::new(event)));
        if event.is_some() {
            continue;
        }
        tokio::select! {
            news = watch.next() => match news {
                Ok(news) => waiting.extend(news),
                Err(error) => {
                    let error = ConnectError::internal(format!("watcher error: {error}"));
                    let _ = sender.send(end_frame(Some(&error))).await;
                    return;
                }
            },
            () = sender.closed() => return,
            () = tokio::time::sleep(keepalive) => {
                event = Some(WatchEvent::Keepalive(KeepAlive {}));
            }
        }
    }
}

/// Watchers that are asked from time to time.
#[derive(Default)]
pub(in super::super) struct Watchers {
    all: RefCell<HashMap<String, Watcher>>,
    next: Cell<u64>,
}

struct Watcher {
    seen: Rc<RefCell<Seen>>,
    task: tokio::task::AbortHandle,
}

/// What a watcher saw and was not yet asked for.
struct Seen {
    watch: Watch,
    events: Vec<FilesystemEvent>,
    failure: Option<String>,
}

impl Seen {
    /// Takes in what has happened up to now; says whether the watcher is still good.
    fn update(&mut self) -> bool {
        if self.failure.is_none() {
            match self.watch.pending() {
                Ok(news) => self.events.extend(news),
                Err(error) => self.failure = Some(error.to_string()),
            }
        }
        if self.events.len() > MOST_EVENTS {
            self.failure = Some(format!("nobody asked for more than {MOST_EVENTS} events"));
            self.events = Vec::new();
        }
        self.failure.is_none()
    }
}

impl Watchers {
    pub(super) fn create(&self, watch: Watch) -> Result<WatcherId, ConnectError> {
        if self.all.borrow().len() >= MOST {
            return Err(ConnectError::new(
                Code::ResourceExhausted,
                format!("there are {MOST} watchers already; remove some"),
            ));
        }
        let number = self.next.get();
        self.next.set(number + 1);
        let watcher_id = format!("w{number}");
        let seen = Rc::new(RefCell::new(Seen { watch, events: Vec::new(), failure: None }));
        let task = tokio::task::spawn_local(collect(Rc::clone(&seen))).abort_handle();
        self.all.borrow_mut().insert(watcher_id.clone(), Watcher { seen, task });
        Ok(WatcherId { watcher_id })
    }

    /// What was seen since the last question.
    pub(super) fn events(&self, id: &WatcherId) -> Result<WatcherEvents, ConnectError> {
        let all = self.all.borrow();
        let mut seen = all.get(&id.watcher_id).ok_or_else(|| unknown(id))?.seen.borrow_mut();
        seen.update();
        match &seen.failure {
            Some(failure) => Err(ConnectError::internal(format!("watcher error: {failure}"))),
            None => Ok(WatcherEvents { events: std::mem::take(&mut seen.events) }),
        }
    }

    pub(super) fn remove(&self, id: &WatcherId) -> Result<(), ConnectError> {
        let removed = self.all.borrow_mut().remove(&id.watcher_id);
        removed.map(|watcher| watcher.task.abort()).ok_or_else(|| unknown(id))
    }
}

/// Takes events as they come, so that new folders are watched before things happen in them.
async fn collect(seen: Rc<RefCell<Seen>>) {
    let source = seen.borrow().watch.source();
    while let Ok(mut ready) = source.readable().await {
        if !seen.borrow_mut().update() {
            return;
        }
        ready.clear_ready();
    }
}

fn unknown(id: &WatcherId) -> ConnectError {
    ConnectError::not_found(format!("watcher with id {} not found", id.watcher_id))
}
