//! A fast look at a whole tree: every path with its metadata, listed by one thread a core.
//! Reads no contents (but ignore files) and changes nothing.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::fstat;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Kind, is_below};
use super::ignore_file::Rules;
use crate::error::{Error, Result};
use crate::policy::{Policy, Verdict, Zone};
use crate::quote::{as_path, path_text};
use atelier_files::below::{join, names, open_dir, open_root, stat_at};

/// A path that could not come along, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Skipped {
    /// The path inside the project; bytes that are no UTF-8 are written as git quotes them.
    pub path: String,
    /// Why, in words.
    pub why: String,
}

impl Skipped {
    pub(crate) fn new(path: &[u8], why: impl Into<String>) -> Self {
        Self { path: path_text(path), why: why.into() }
    }
}

/// What is left out of a scan.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanOptions {
    /// Folders by device and inode, such as `ATELIER_HOME` inside the project.
    pub exclude: Vec<(u64, u64)>,
    /// The name of the ignore file to honour.
    pub ignore_file: Option<&'static str>,
    /// What comes along of the files that git does not keep; everything when absent.
    pub policy: Option<Arc<Policy>>,
}

/// A tree at one moment, in the order of a depth-first walk.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub root: Entry,
    pub entries: Vec<Entry>,
    /// When the scan began, nanoseconds since 1970.
    pub started: i64,
    pub skipped: Vec<Skipped>,
    /// What ignore files and options leave out: files, and folders with all that is in them.
    pub ignored: Vec<Vec<u8>>,
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// How many threads a walk or a copy uses.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

struct Task {
    id: usize,
    path: Vec<u8>,
    rules: Option<Arc<Rules>>,
    zone: Zone,
}

/// What one folder holds: each entry, with the id of its own listing when it is a folder.
type Listing = Vec<(Entry, Option<usize>)>;

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    next_id: usize,
    /// Tasks taken but not finished.
    busy: usize,
    listings: Vec<Listing>,
    skipped: Vec<Skipped>,
    /// Folders that come only with something in them.
    bare: HashSet<Vec<u8>>,
    ignored: Vec<Vec<u8>>,
    failed: Option<(Vec<u8>, Errno)>,
}

struct Shared<'a> {
    root: BorrowedFd<'a>,
    options: &'a ScanOptions,
    state: Mutex<State>,
    changed: Condvar,
}

/// Lists everything below `root`.
pub(crate) fn scan(root: &Path, options: &ScanOptions) -> Result<Scan> {
    let started = now();
    let fail = |e: Errno| Error::io("read", root, e);
    let fd = open_root(root).map_err(fail)?;
    let stat = fstat(&fd).map_err(fail)?;
    let shared = Shared {
        root: fd.as_fd(),
        options,
        state: Mutex::new(State {
            tasks: vec![Task { id: 0, path: Vec::new(), rules: None, zone: top_zone(options) }],
            next_id: 1,
            ..State::default()
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads() {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, errno)) = state.failed {
        return Err(Error::io("read", &root.join(as_path(&path)), errno));
    }
    let mut entries = Vec::with_capacity(state.listings.iter().map(Vec::len).sum());
    flatten(state.listings, &mut entries);
    drop_bare(&state.bare, &mut entries);
    let root = Entry::new(Vec::new(), &stat);
    let (skipped, ignored) = (state.skipped, state.ignored);
    Ok(Scan { root, entries, started, skipped, ignored })
}

/// Puts the listings one below the other, each folder followed by what it holds.
fn flatten(listings: Vec<Listing>, out: &mut Vec<Entry>) {
    let mut listings: Vec<_> = listings.into_iter().map(Vec::into_iter).collect();
    let mut stack = vec![0];
    while let Some(&top) = stack.last() {
        match listings.get_mut(top).and_then(Iterator::next) {
            Some((entry, child)) => {
                out.push(entry);
                stack.extend(child);
            }
            None => {
                stack.pop();
            }
        }
    }
}

fn top_zone(options: &ScanOptions) -> Zone {
    let rules = options.policy.as_ref().and_then(|policy| policy.rules.clone());
    Zone::top(rules)
}

/// Takes out folders with nothing in them that should come only with something.
fn drop_bare(bare: &HashSet<Vec<u8>>, entries: &mut Vec<Entry>) {
    if bare.is_empty() {
        return;
    }
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    // From the end, so that what a folder holds is known before the folder.
    for entry in entries.drain(..).rev() {
        let filled = kept.last().is_some_and(|last| is_below(&last.path, &entry.path));
        if filled || !bare.contains(&entry.path) {
            kept.push(entry);
        }
    }
    kept.reverse();
    *entries = kept;
}

impl Shared<'_> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes folders until none is left and nobody can add more.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop() {
                state.busy += 1;
                drop(state);
                let found = self.list(&task);
                state = self.lock();
                state.busy -= 1;
                self.record(&mut state, &task, found);
                self.changed.notify_all();
            } else if state.busy == 0 {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn record(&self, state: &mut State, task: &Task, found: Result<Found, Errno>) {
        let found = match found {
            Ok(found) => found,
            Err(Errno::ACCESS | Errno::PERM) if !task.path.is_empty() => {
                state.skipped.push(Skipped::new(&task.path, "the folder cannot be read"));
                return;
            }
            // It vanished or became something else since its parent was listed.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !task.path.is_empty() => return,
            Err(errno) => {
                state.failed = Some((task.path.clone(), errno));
                state.tasks.clear();
                return;
            }
        };
        let mut listing = Listing::with_capacity(found.entries.len());
        for (entry, zone) in found.entries {
            if let Some(zone) = &zone
                && zone.is_bare()
            {
                state.bare.insert(entry.path.clone());
            }
            let id = (entry.kind == Kind::Dir).then(|| {
                let id = state.next_id;
                state.next_id += 1;
                let (path, rules) = (entry.path.clone(), found.rules.clone());
                state.tasks.push(Task { id, path, rules, zone: zone.unwrap_or_default() });
                id
            });
            listing.push((entry, id));
        }
        if state.listings.len() <= task.id {
            state.listings.resize_with(state.next_id.max(task.id + 1), Vec::new);
        }
        state.listings[task.id] = listing;
        state.skipped.extend(found.skipped);
        state.ignored.extend(found.ignored);
    }

    /// Everything in one folder, sorted by name.
    fn list(&self, task: &Task) -> Result<Found, Errno> {
        let dir = open_dir(self.root, &task.path)?;
        let mut names = names(&dir)?;
        names.sort_unstable();
        let mut found = Found { rules: task.rules.clone(), ..Found::default() };
        if let Some(file) = self.options.ignore_file
            && names.iter().any(|n| n.to_bytes() == file.as_bytes())
        {
            found.rules = Rules::enter(found.rules, &task.path, dir.as_fd(), file);
        }
        let mut zone = task.zone.clone();
        if zone.rules.is_some() && names.iter().any(|n| n.to_bytes() == b".gitignore") {
            zone.rules = Rules::enter(zone.rules, &task.path, dir.as_fd(), ".gitignore");
        }
        for name in &names {
            let Some(stat) = stat_at(dir.as_fd(), name.to_bytes())? else { continue };
            self.sort_in(Entry::new(join(&task.path, name.to_bytes()), &stat), &zone, &mut found);
        }
        Ok(found)
    }

    fn sort_in(&self, entry: Entry, zone: &Zone, found: &mut Found) {
        let is_dir = entry.kind == Kind::Dir;
        if found.rules.as_ref().is_some_and(|r| r.is_ignored(&entry.path, is_dir))
            || (is_dir && self.options.exclude.contains(&(entry.dev, entry.ino)))
        {
            found.ignored.push(entry.path);
            return;
        }
        let verdict = self.options.policy.as_ref().map(|p| p.judge(&entry.path, is_dir, zone));
        let below = match verdict {
            None | Some(Verdict::Comes) => None,
            Some(Verdict::Stays) => return,
            Some(Verdict::Look(zone)) => Some(zone),
        };
        match entry.kind {
            Kind::Special => {
                found.skipped.push(Skipped::new(&entry.path, "a socket or a device"));
            }
            Kind::Whiteout => found.skipped.push(Skipped::new(&entry.path, "a device")),
            _ => found.entries.push((entry, below)),
        }
    }
}

#[derive(Default)]
struct Found {
    /// Each with what holds below it, when it is a folder and there is a policy.
    entries: Vec<(Entry, Option<Zone>)>,
    skipped: Vec<Skipped>,
    ignored: Vec<Vec<u8>>,
    rules: Option<Arc<Rules>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::entry::order;

    fn paths(scan: &Scan) -> Vec<String> {
        scan.entries.iter().map(|e| path_text(&e.path)).collect()
    }

    #[test]
    fn a_tree_is_listed_in_walking_order_without_what_is_ignored() {
        let tmp = tempfile::tempdir().unwrap();
        for dir in ["a", "a/deep", "home", "skip"] {
            std::fs::create_dir(tmp.path().join(dir)).unwrap();
        }
        for file in ["a/x", "a/deep/y", "a.txt", "b.log", "home/secret", "skip/z"] {
            std::fs::write(tmp.path().join(file), file).unwrap();
        }
        std::fs::write(tmp.path().join(".atelierignore"), "*.log\nskip/\n").unwrap();
        let stat = rustix::fs::stat(tmp.path().join("home")).unwrap();
        let options = ScanOptions {
            exclude: vec![(stat.st_dev, stat.st_ino)],
            ignore_file: Some(".atelierignore"),
            policy: None,
        };
        let scan = scan(tmp.path(), &options).unwrap();
        assert_eq!(paths(&scan), [".atelierignore", "a", "a/deep", "a/deep/y", "a/x", "a.txt"]);
        assert!(scan.entries.is_sorted_by(|a, b| order(&a.path, &b.path).is_lt()));
    }

    #[test]
    fn an_empty_folder_is_a_tree_and_a_missing_one_an_error() {
        let tmp = tempfile::tempdir().unwrap();
        assert!(scan(tmp.path(), &ScanOptions::default()).unwrap().entries.is_empty());
        assert!(scan(&tmp.path().join("gone"), &ScanOptions::default()).is_err());
    }
}
