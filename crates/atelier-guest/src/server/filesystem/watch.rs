//! Watches: those that are a stream, and those that are asked from time to time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::statfs::statfs;
use tokio::sync::mpsc;

use super::inotify::Watch;
use crate::wire::{
    ConnectError, FilesystemEvent, KeepAlive, WatchEvent, WatchRequest, WatcherEvents, WatcherId,
    end_frame, json_frame,
};

/// File systems that live elsewhere and do not tell what others do to them: NFS, CIFS, SMB, SMB 2
/// and FUSE, by the numbers of `linux/magic.h`.
const NETWORK: [i64; 5] = [0x6969, 0xFF53_4D42, 0x517B, 0xFE53_4D42, 0x6573_5546];
/// How many watchers there may be at a time that nobody removed.
const MOST: usize = 256;

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
        event = waiting.pop_front().map(WatchEvent::Filesystem);
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

/// Watchers that are asked from time to time. The kernel keeps what they have not asked for yet.
#[derive(Default)]
pub(in super::super) struct Watchers {
    all: RefCell<HashMap<String, Watch>>,
    next: Cell<u64>,
}

impl Watchers {
    pub(super) fn create(&self, watch: Watch) -> Result<WatcherId, ConnectError> {
        if self.all.borrow().len() >= MOST {
            return Err(ConnectError::new(
                crate::wire::Code::ResourceExhausted,
                format!("there are {MOST} watchers already; remove some"),
            ));
        }
        let number = self.next.get();
        self.next.set(number + 1);
        let watcher_id = format!("w{number}");
        self.all.borrow_mut().insert(watcher_id.clone(), watch);
        Ok(WatcherId { watcher_id })
    }

    pub(super) fn events(&self, id: &WatcherId) -> Result<WatcherEvents, ConnectError> {
        let mut all = self.all.borrow_mut();
        let watch = all.get_mut(&id.watcher_id).ok_or_else(|| unknown(id))?;
        let events: Vec<FilesystemEvent> = watch
            .pending()
            .map_err(|error| ConnectError::internal(format!("watcher error: {error}")))?;
        Ok(WatcherEvents { events })
    }

    pub(super) fn remove(&self, id: &WatcherId) -> Result<(), ConnectError> {
        self.all.borrow_mut().remove(&id.watcher_id).map(drop).ok_or_else(|| unknown(id))
    }
}

fn unknown(id: &WatcherId) -> ConnectError {
    ConnectError::not_found(format!("watcher with id {} not found", id.watcher_id))
}
