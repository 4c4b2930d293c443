//! Copying many paths of one or more trees into a fresh one, by several threads: folders first,
//! then contents, hard links, deletions, and the folders' own metadata last.
//!
//! A file that changes while it is copied is tried again; one that cannot be read, or keeps
//! changing, is reported. Nothing here decides *what* to copy.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, linkat, mkdirat, mknodat};
use rustix::io::Errno;

use super::copy_one::{Done, One, Step};
use super::entry::{Entry, Kind, order};
use super::metadata::Copier;
use super::scan::{Skipped, threads};
use crate::error::{Error, Result};
use crate::quote::as_path;
use atelier_files::below::{open_dir, split};

/// Below this many files a second thread costs more than it brings.
const PARALLEL_FROM: usize = 48;
/// Files that a thread takes at a time.
const CHUNK: usize = 16;

/// One path to copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    pub entry: &'a Entry,
    /// Which of the job's sources it comes from.
    pub source: usize,
    /// Whether a hard link to the source does (the source is never written).
    pub link: bool,
}

/// What to copy where.
pub(crate) struct Job<'a> {
    pub sources: &'a [BorrowedFd<'a>],
    pub target: BorrowedFd<'a>,
    /// Where the target is, for messages.
    pub target_path: &'a Path,
    /// The metadata of the target folder itself.
    pub root: &'a Entry,
    /// In walking order; the folders above an item come before it.
    pub items: Vec<Item<'a>>,
    /// Paths to hide, whose folders are among the items.
    pub whiteouts: Vec<&'a [u8]>,
    /// Whether a path that could not be copied must be hidden by a whiteout.
    pub hide: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Whether the sources are layers of our own, whose inodes are not those of the entries.
    pub frozen: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was copied, with the metadata it had then, in walking order.
    pub copied: Vec<Entry>,
    pub skipped: Vec<Skipped>,
    pub bytes: u64,
}

type Failure = (&'static str, Vec<u8>, std::io::Error);

/// Copies everything that the job lists.
pub(crate) fn copy(job: &Job<'_>) -> Result<Outcome> {
    let mut run = Run {
        job,
        copier: Copier::new(),
        stop: AtomicBool::new(false),
        outcome: Outcome::default(),
        lost: Vec::new(),
    };
    run.all().map_err(|(doing, path, error)| {
        let needed = job.items.iter().filter(|i| !i.link).map(|i| i.entry.size).sum();
        Error::io(doing, &job.target_path.join(as_path(&path)), error).needing(needed)
    })?;
    run.outcome.copied.sort_unstable_by(|a, b| order(&a.path, &b.path));
    Ok(run.outcome)
}

struct Run<'a> {
    job: &'a Job<'a>,
    copier: Copier,
    stop: AtomicBool,
    outcome: Outcome,
    /// Paths that are not there after all.
    lost: Vec<Vec<u8>>,
}

/// Keeps the folder that was opened last, because neighbours share it.
struct Folder<'a> {
    root: BorrowedFd<'a>,
    path: Vec<u8>,
    fd: Option<OwnedFd>,
}

impl<'a> Folder<'a> {
    fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, path: Vec::new(), fd: None }
    }

    fn get(&mut self, path: &[u8]) -> Result<BorrowedFd<'_>, Errno> {
        if path.is_empty() {
            return Ok(self.root);
        }
        if self.path != path || self.fd.is_none() {
            self.fd = None;
            self.fd = Some(open_dir(self.root, path)?);
            path.clone_into(&mut self.path);
        }
        Ok(self.fd.as_ref().map_or(self.root, AsFd::as_fd))
    }
}

impl<'a> Run<'a> {
    fn all(&mut self) -> Result<(), Failure> {
        self.folders()?;
        let (files, links) = self.sort();
        self.contents(&files)?;
        self.hard_links(&links)?;
        self.whiteouts()?;
        self.folder_metadata()
    }

    fn folders(&mut self) -> Result<(), Failure> {
        let mut parent = Folder::new(self.job.target);
        for item in self.job.items.iter().filter(|i| i.entry.kind == Kind::Dir) {
            let path = &item.entry.path;
            let (dir, name) = split(path);
            let fail = |e: Errno| ("create", path.clone(), e.into());
            let dir = parent.get(dir).map_err(fail)?;
            mkdirat(dir, name, Mode::RWXU).map_err(fail)?;
            self.outcome.copied.push(item.entry.clone());
        }
        Ok(())
    }

    /// The items to copy, and those that are hard links to one of them (by its place).
    fn sort(&self) -> (Vec<Item<'a>>, Vec<(usize, Item<'a>)>) {
        let mut first = HashMap::new();
        let (mut files, mut links) = (Vec::with_capacity(self.job.items.len()), Vec::new());
        for &item in self.job.items.iter().filter(|i| i.entry.kind != Kind::Dir) {
            let entry = item.entry;
            if entry.kind == Kind::File && entry.nlink > 1 && !item.link {
                if let Some(&leader) = first.get(&(entry.dev, entry.ino)) {
                    links.push((leader, item));
                    continue;
                }
                first.insert((entry.dev, entry.ino), files.len());
            }
            files.push(item);
        }
        (files, links)
    }

    fn contents(&mut self, files: &[Item<'a>]) -> Result<(), Failure> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(files.len()));
        let workers = if files.len() < PARALLEL_FROM { 1 } else { threads() };
        let this = &*self;
        let outcome = std::thread::scope(|scope| {
            let work = || this.work(files, &next, &results);
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut outcome = work();
            for other in others {
                outcome = outcome.and(other.join().unwrap_or(Ok(())));
            }
            outcome
        });
        outcome?;
        for (at, done) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let at: usize = at;
            self.note(&files[at].entry.path, done);
        }
        Ok(())
    }

    fn work(
        &self,
        files: &[Item<'a>],
        next: &AtomicUsize,
        results: &Mutex<Vec<(usize, Done)>>,
    ) -> Result<(), Failure> {
        let mut hands = Hands::new(self);
        let mut mine = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            if from >= files.len() {
                break;
            }
            for (at, item) in files.iter().enumerate().skip(from).take(CHUNK) {
                match hands.one(item) {
                    Ok(done) => mine.push((at, done)),
                    Err((doing, error)) => {
                        self.stop.store(true, Ordering::Relaxed);
                        return Err((doing, item.entry.path.clone(), error));
                    }
                }
            }
        }
        results.lock().unwrap_or_else(PoisonError::into_inner).append(&mut mine);
        Ok(())
    }

    fn note(&mut self, path: &[u8], done: Done) {
        match done {
            Done::Copied(entry, bytes) => {
                self.outcome.bytes += bytes;
                self.outcome.copied.push(entry);
            }
            Done::Torn(entry, bytes) => {
                let why = "it kept changing while it was copied";
                self.outcome.skipped.push(Skipped::new(path, why));
                self.outcome.bytes += bytes;
                self.outcome.copied.push(entry);
            }
            Done::Gone => self.lost.push(path.to_vec()),
            Done::Skipped(why) => {
                self.outcome.skipped.push(Skipped::new(path, why));
                self.lost.push(path.to_vec());
            }
        }
    }

    /// Links the other names of a file to its first name, as in the original.
    fn hard_links(&mut self, links: &[(usize, Item<'a>)]) -> Result<(), Failure> {
        if links.is_empty() {
            return Ok(());
        }
        let files = self.sort().0;
        let copied: HashMap<Vec<u8>, Entry> =
            self.outcome.copied.iter().map(|e| (e.path.clone(), e.clone())).collect();
        for (leader, item) in links {
            let leader = copied
                .get(&files[*leader].entry.path)
                .filter(|e| self.job.frozen || e.ino == item.entry.ino);
            let done = match leader {
                Some(leader) => self.link(leader, item),
                None => Hands::new(self).one(item),
            };
            let done = done.map_err(|(doing, e)| (doing, item.entry.path.clone(), e))?;
            self.note(&item.entry.path, done);
        }
        Ok(())
    }

    fn link(
        &self,
        leader: &Entry,
        item: &Item<'a>,
    ) -> Result<Done, (&'static str, std::io::Error)> {
        let target = self.job.target;
        let open = |path| open_dir(target, path).map_err(|e| ("open", e.into()));
        let (from_dir, from) = split(&leader.path);
        let (to_dir, to) = split(&item.entry.path);
        match linkat(open(from_dir)?, from, open(to_dir)?, to, AtFlags::empty()) {
            Ok(()) => {
                let entry = Entry { path: item.entry.path.clone(), ..leader.clone() };
                Ok(Done::Copied(entry, 0))
            }
            Err(_) => Hands::new(self).one(item),
        }
    }

    fn whiteouts(&mut self) -> Result<(), Failure> {
        let lost: Vec<_> = self.lost.iter().filter(|p| (self.job.hide)(p)).collect();
        let mut parent = Folder::new(self.job.target);
        for path in self.job.whiteouts.iter().copied().chain(lost.into_iter().map(Vec::as_slice)) {
            let (dir, name) = split(path);
            let fail = |e: Errno| ("hide", path.to_vec(), e.into());
            let dir = parent.get(dir).map_err(fail)?;
            mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0).map_err(fail)?;
        }
        Ok(())
    }

    /// Last, because everything before changes the folders' times; from the deepest up.
    fn folder_metadata(&self) -> Result<(), Failure> {
        let dirs = self.job.items.iter().filter(|i| i.entry.kind == Kind::Dir);
        let root = Item { entry: self.job.root, source: 0, link: false };
        for item in dirs.rev().copied().chain([root]) {
            let path = &item.entry.path;
            let fail = |e: Errno| ("set the metadata of", path.clone(), e.into());
            let from = open_dir(self.job.sources[item.source], path).ok();
            let to = open_dir(self.job.target, path).map_err(fail)?;
            self.copier
                .metadata(from.as_ref().map(AsFd::as_fd), to.as_fd(), item.entry)
                .map_err(fail)?;
        }
        Ok(())
    }
}

/// What one thread works with.
struct Hands<'a> {
    run: &'a Run<'a>,
    sources: Vec<Folder<'a>>,
    target: Folder<'a>,
    buffer: Vec<u8>,
}

impl<'a> Hands<'a> {
    fn new(run: &'a Run<'_>) -> Self {
        Self {
            run,
            sources: run.job.sources.iter().map(|fd| Folder::new(*fd)).collect(),
            target: Folder::new(run.job.target),
            buffer: Vec::new(),
        }
    }

    fn one(&mut self, item: &Item<'_>) -> Step<Done> {
        let (dir, name) = split(&item.entry.path);
        let from = match self.sources[item.source].get(dir) {
            Ok(fd) => fd,
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Done::Skipped("it cannot be read")),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Done::Gone),
            Err(error) => return Err(("read", error.into())),
        };
        let to = self.target.get(dir).map_err(|e| ("open", e.into()))?;
        if item.link && linkat(from, name, to, name, AtFlags::empty()).is_ok() {
            return Ok(Done::Copied(item.entry.clone(), 0));
        }
        let one = One { copier: &self.run.copier, from, to, name };
        one.copy(item.entry.clone(), &mut self.buffer)
    }
}
