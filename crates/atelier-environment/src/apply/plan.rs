//! Deciding, for each path that the environment changed, what becomes of the project's. Nothing
//! is written here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::readlinkat;
use rustix::io::Errno;

use super::remembered::Memory;
use crate::changes::lines::merge;
use crate::changes::side::{GitMode, Layers, Pair, Side, TEXT_LIMIT, is_binary, same_contents};
use crate::error::{Conflict, Error, Result};
use crate::files::beneath::{join, names, open_dir, open_file, open_root, split, stat_at};
use crate::files::entry::{Entry, Kind};
use crate::quote::{as_path, path_text};

/// What a path of the project shall become.
#[derive(Debug)]
pub(crate) enum Content {
    /// As in the environment.
    Side(Side),
    /// Merged text.
    Text(Vec<u8>),
    Deleted,
}

/// One path to change.
#[derive(Debug)]
pub(crate) struct Step {
    pub path: Vec<u8>,
    pub content: Content,
    /// What the project has there now; checked again before it is changed.
    pub now: Option<Entry>,
    /// Permission bits of the result.
    pub mode: u32,
}

/// Everything to do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub steps: Vec<Step>,
    pub merged: Vec<Vec<u8>>,
    pub unchanged: usize,
    /// Folders with nothing else in them that make way for a file.
    pub cleared: Vec<Vec<u8>>,
}

/// Decides about all paths, or says where it cannot.
pub(crate) fn make(root: &Path, layers: &Layers, pairs: &[Pair], memory: &Memory) -> Result<Plan> {
    let fd = open_root(root).map_err(|e| Error::io("open", root, e))?;
    let going = pairs.iter().filter(|p| p.new.is_none()).map(|p| p.path.as_slice()).collect();
    let mut planner =
        Planner { root, fd, layers, memory, going, plan: Plan::default(), conflicts: Vec::new() };
    for pair in pairs {
        planner.pair(pair)?;
    }
    if planner.conflicts.is_empty() {
        Ok(planner.plan)
    } else {
        Err(Error::Conflict { conflicts: planner.conflicts })
    }
}

struct Planner<'a> {
    root: &'a Path,
    fd: OwnedFd,
    layers: &'a Layers,
    memory: &'a Memory,
    /// What the environment deleted.
    going: BTreeSet<&'a [u8]>,
    plan: Plan,
    conflicts: Vec<Conflict>,
}

/// What the project has at a path.
enum Now {
    Absent,
    /// A file or symlink.
    Leaf(Entry, GitMode),
    /// A folder, or something that git does not know.
    Other(&'static str),
}

impl Planner<'_> {
    fn pair(&mut self, pair: &Pair) -> Result<()> {
        let mut cleared = Vec::new();
        let now = self.now(&pair.path, &mut cleared)?;
        let entry = match &now {
            Now::Leaf(entry, _) => Some(entry.clone()),
            _ => None,
        };
        if let (Now::Other(_), None) = (&now, &pair.new) {
            // The file is gone from the project too: something else stands there, or above it.
            self.plan.unchanged += 1;
        } else if let Now::Other(why) = now {
            self.conflict(&pair.path, None, why);
        } else if self.is(&pair.path, &now, pair.old.as_ref())? {
            let content = pair.new.clone().map_or(Content::Deleted, Content::Side);
            self.step(pair, content, entry);
            if pair.new.is_some() {
                self.plan.cleared.append(&mut cleared);
            }
        } else if self.is(&pair.path, &now, pair.new.as_ref())?
            || self.memory.is_current(self.layers, pair)
        {
            self.plan.unchanged += 1;
        } else {
            self.both(pair, &now)?;
        }
        Ok(())
    }

    fn step(&mut self, pair: &Pair, content: Content, now: Option<Entry>) {
        let mode = mode_after(pair, now.as_ref());
        self.plan.steps.push(Step { path: pair.path.clone(), content, now, mode });
    }

    fn conflict(&mut self, path: &[u8], line: Option<u64>, why: &str) {
        self.conflicts.push(Conflict { path: path_text(path), line, why: why.to_owned() });
    }

    fn fail(&self, path: &[u8], error: impl Into<std::io::Error>) -> Error {
        Error::io("read", &self.root.join(as_path(path)), error)
    }

    fn now(&self, path: &[u8], cleared: &mut Vec<Vec<u8>>) -> Result<Now> {
        let (dir, name) = split(path);
        let dir = match open_dir(self.fd.as_fd(), dir) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Now::Absent),
            Err(Errno::NOTDIR | Errno::LOOP) => return self.blocked(path),
            Err(error) => return Err(self.fail(path, error)),
        };
        let Some(stat) = stat_at(dir.as_fd(), name).map_err(|e| self.fail(path, e))? else {
            return Ok(Now::Absent);
        };
        let entry = Entry::new(path.to_vec(), &stat);
        Ok(match (GitMode::of(&entry), entry.kind) {
            (Some(mode), _) => Now::Leaf(entry, mode),
            (None, Kind::Dir) if self.is_emptied(path, cleared)? => Now::Absent,
            (None, Kind::Dir) => Now::Other("the project has a folder there"),
            (None, _) => Now::Other("the project has a special file there"),
        })
    }

    /// A folder above the path is none in the project: fine when the environment takes away what
    /// stands there, or has nothing there itself.
    fn blocked(&self, path: &[u8]) -> Result<Now> {
        let (mut dir, _) = split(path);
        while !dir.is_empty() {
            if self.going.contains(dir) {
                return Ok(Now::Absent);
            }
            dir = split(dir).0;
        }
        Ok(Now::Other("a folder above it is a file or a symlink in the project"))
    }

    /// Whether everything in a folder of the project is deleted by this apply; lists the folder
    /// and those in it.
    fn is_emptied(&self, path: &[u8], cleared: &mut Vec<Vec<u8>>) -> Result<bool> {
        cleared.push(path.to_vec());
        let dir = open_dir(self.fd.as_fd(), path).map_err(|e| self.fail(path, e))?;
        for name in names(&dir).map_err(|e| self.fail(path, e))? {
            let inner = join(path, name.to_bytes());
            let stat = stat_at(dir.as_fd(), name.to_bytes()).map_err(|e| self.fail(path, e))?;
            let is_dir = stat.is_some_and(|s| Kind::of(&s) == Kind::Dir);
            let goes = match is_dir {
                true => self.is_emptied(&inner, cleared)?,
                false => self.going.contains(&*inner),
            };
            if !goes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the project has exactly this.
    fn is(&self, path: &[u8], now: &Now, side: Option<&Side>) -> Result<bool> {
        let (Now::Leaf(entry, mode), Some(side)) = (now, side) else {
            return Ok(matches!(now, Now::Absent) && side.is_none());
        };
        if *mode != side.mode || entry.size != side.leaf.entry.size {
            return Ok(false);
        }
        if mode.is_link() {
            return Ok(self.read(path, *mode)? == self.layers.read(side)?);
        }
        let mut ours = self.open(path)?;
        let mut theirs = self.layers.file(side)?;
        same_contents(&mut ours, &mut theirs).map_err(|e| self.fail(path, e))
    }

    fn open(&self, path: &[u8]) -> Result<File> {
        let (dir, name) = split(path);
        let dir = open_dir(self.fd.as_fd(), dir).map_err(|e| self.fail(path, e))?;
        Ok(open_file(dir.as_fd(), name).map_err(|e| self.fail(path, e))?.into())
    }

    fn read(&self, path: &[u8], mode: GitMode) -> Result<Vec<u8>> {
        if mode.is_link() {
            let (dir, name) = split(path);
            let dir = open_dir(self.fd.as_fd(), dir).map_err(|e| self.fail(path, e))?;
            let target = readlinkat(&dir, name, Vec::new()).map_err(|e| self.fail(path, e))?;
            return Ok(target.into_bytes());
        }
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes).map_err(|e| self.fail(path, e))?;
        Ok(bytes)
    }

    /// Both sides changed the path.
    fn both(&mut self, pair: &Pair, now: &Now) -> Result<()> {
        let path = &pair.path;
        let (entry, mode, new) = match (now, &pair.new) {
            (Now::Leaf(entry, mode), Some(new)) => (entry, *mode, new),
            (_, None) => {
                self.conflict(path, None, "changed in the project, deleted in the environment");
                return Ok(());
            }
            _ => {
                self.conflict(path, None, "deleted in the project, changed in the environment");
                return Ok(());
            }
        };
        if mode.is_link() || new.mode.is_link() {
            self.conflict(path, None, "a symlink that both sides changed");
            return Ok(());
        }
        if entry.size.max(new.leaf.entry.size) > TEXT_LIMIT {
            self.conflict(path, None, "a large file that both sides changed");
            return Ok(());
        }
        let ours = self.read(path, mode)?;
        let theirs = self.layers.read(new)?;
        let base = match (self.memory.base(path), &pair.old) {
            (Some(base), _) => base,
            (None, Some(old)) if !old.mode.is_link() => self.layers.read(old)?,
            _ => {
                self.conflict(path, None, "added on both sides");
                return Ok(());
            }
        };
        if [&base, &ours, &theirs].into_iter().any(|t| is_binary(t)) {
            self.conflict(path, None, "a binary file that both sides changed");
            return Ok(());
        }
        match merge(&base, &ours, &theirs) {
            Ok(text) if text == ours && mode_after(pair, Some(entry)) == entry.mode => {
                self.plan.unchanged += 1;
            }
            Ok(text) => {
                self.plan.merged.push(path.clone());
                self.step(pair, Content::Text(text), Some(entry.clone()));
            }
            Err(lines) => {
                for line in lines {
                    self.conflict(path, Some(line), "both changed these lines");
                }
            }
        }
        Ok(())
    }
}

/// The permission bits of the result: those of the project's file, with the executable bits moved
/// as the environment moved them; a new file's own.
fn mode_after(pair: &Pair, now: Option<&Entry>) -> u32 {
    let new = pair.new.as_ref();
    let Some(now) = now.filter(|e| e.kind == Kind::File) else {
        return new.map_or(0o644, |s| s.leaf.entry.mode & 0o777);
    };
    let (before, after) = (pair.old.as_ref().map(|s| s.mode), new.map(|s| s.mode));
    match after {
        Some(GitMode::Executable) if before != after => now.mode | ((now.mode & 0o444) >> 2),
        Some(GitMode::Plain) if before != after => now.mode & !0o111,
        _ => now.mode,
    }
}
