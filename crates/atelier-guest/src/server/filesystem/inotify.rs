//! A watched folder: the kernel's events as the protocol's.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::super::users::Names;
use super::super::watched::watched;
use super::entry::describe;
use crate::wire::{EventType, FilesystemEvent, WatchRequest};

/// What a folder is watched for: what Go's fsnotify asks for, whose events E2B's clients count.
const MASK: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVE_SELF);

/// A folder that is watched.
pub(super) struct Watch {
    source: Rc<AsyncFd<Source>>,
    root: PathBuf,
    recursive: bool,
    include_entry: bool,
    folders: HashMap<WatchDescriptor, PathBuf>,
}

/// nix's inotify, where tokio can see its descriptor.
pub(super) struct Source(Inotify);

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Watch {
    pub(super) fn new(root: &Path, request: &WatchRequest) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut watch = Self {
            source: Rc::new(watched(Source(inotify), Interest::READABLE)?),
            root: root.to_path_buf(),
            recursive: request.recursive,
            include_entry: request.include_entry,
            folders: HashMap::new(),
        };
        watch.add(root, &mut Vec::new())?;
        Ok(watch)
    }

    /// Watches a folder, and those below it if asked; what is in new ones already is news.
    fn add(&mut self, folder: &Path, news: &mut Vec<PathBuf>) -> io::Result<()> {
        let descriptor = self.source.get_ref().0.add_watch(folder, MASK)?;
        self.folders.insert(descriptor, folder.to_path_buf());
        if !self.recursive {
            return Ok(());
        }
        for child in std::fs::read_dir(folder)?.flatten() {
            news.push(child.path());
            if child.file_type().is_ok_and(|kind| kind.is_dir()) {
                // It may be gone, or be another's; the rest is watched all the same.
                let _ = self.add(&child.path(), news);
            }
        }
        Ok(())
    }

    /// The next events.
    pub(super) async fn next(&mut self) -> io::Result<Vec<FilesystemEvent>> {
        let source = self.source();
        loop {
            let mut ready = source.readable().await?;
            let events = self.pending()?;
            ready.clear_ready();
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// What becomes readable when something happens.
    pub(super) fn source(&self) -> Rc<AsyncFd<Source>> {
        Rc::clone(&self.source)
    }

    /// What has happened up to now, without waiting.
    pub(super) fn pending(&mut self) -> io::Result<Vec<FilesystemEvent>> {
        let mut all = Vec::new();
        loop {
            match self.source.get_ref().0.read_events() {
                Ok(events) => {
                    for event in events {
                        self.translate(&event, &mut all)?;
                    }
                }
                Err(Errno::EAGAIN) => return Ok(all),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn translate(
        &mut self,
        event: &InotifyEvent,
        into: &mut Vec<FilesystemEvent>,
    ) -> io::Result<()> {
        let is = |flag| event.mask.contains(flag);
        if is(AddWatchFlags::IN_Q_OVERFLOW) {
            return Err(io::Error::other("too many events at once: some were lost"));
        }
        let Some(folder) = self.folders.get(&event.wd).cloned() else { return Ok(()) };
        if is(AddWatchFlags::IN_IGNORED) {
            self.folders.remove(&event.wd);
            return Ok(());
        }
        let of_itself = event.name.is_none();
        // A folder below the root tells its own end to its parent's watch as well.
        if of_itself && folder != self.root {
            return Ok(());
        }
        let path = event.name.as_ref().map_or_else(|| folder.clone(), |name| folder.join(name));
        let arrived = is(AddWatchFlags::IN_CREATE) || is(AddWatchFlags::IN_MOVED_TO);
        for (kind, happened) in [
            (EventType::Create, arrived),
            (
                EventType::Rename,
                is(AddWatchFlags::IN_MOVED_FROM) || is(AddWatchFlags::IN_MOVE_SELF),
            ),
            (EventType::Chmod, is(AddWatchFlags::IN_ATTRIB)),
            (EventType::Write, is(AddWatchFlags::IN_MODIFY)),
            (EventType::Remove, is(AddWatchFlags::IN_DELETE) || is(AddWatchFlags::IN_DELETE_SELF)),
        ] {
            if happened {
                into.push(self.event(&path, kind));
            }
        }
        if self.recursive && arrived && is(AddWatchFlags::IN_ISDIR) {
            let mut news = Vec::new();
            let _ = self.add(&path, &mut news);
            into.extend(news.iter().map(|path| self.event(path, EventType::Create)));
        }
        Ok(())
    }

    fn event(&self, path: &Path, kind: EventType) -> FilesystemEvent {
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        let name = if name.as_os_str().is_empty() { Path::new(".") } else { name };
        // What is at the path of something that went away would be something else.
        let stays = matches!(kind, EventType::Create | EventType::Write | EventType::Chmod);
        let entry =
            (self.include_entry && stays).then(|| describe(path, &Names::read()).ok()).flatten();
        FilesystemEvent { name: name.to_string_lossy().into_owned(), kind, entry }
    }
}
