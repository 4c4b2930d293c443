//! Deciding, for each path that one side changed, what becomes of the other's. Nothing is written
//! here.

use std::collections::BTreeSet;
use std::path::Path;

use super::remembered::Memory;
use super::there::{Now, Obstacle, There};
use crate::changes::lines::merge;
use crate::changes::side::{GitMode, Layers, Pair, Side, TEXT_LIMIT, is_binary};
use crate::error::{Conflict, Error, Result};
use crate::files::entry::{Entry, Kind};
use crate::quote::path_text;

/// What a path shall become.
#[derive(Debug)]
pub(crate) enum Content {
    /// As in a layer.
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
    /// What is there now; checked again before it is changed.
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
    /// Places that both sides changed and that stay.
    pub kept: usize,
    /// Folders with nothing else in them that make way for a file.
    pub cleared: Vec<Vec<u8>>,
}

/// Which way changes go, and what becomes of places that both sides changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Whose tree is changed, in words.
    pub here: &'static str,
    /// Whose changes are brought.
    pub there: &'static str,
    /// In a place that both changed the change is brought (`Some(true)`), or not (`Some(false)`).
    pub take: Option<bool>,
    /// Into the environment.
    pub sync: bool,
}

impl Way {
    /// From the environment into the project.
    pub(crate) const APPLY: Self =
        Self { here: "the project", there: "the environment", take: None, sync: false };
    /// From the project into the environment.
    pub(crate) const SYNC: Self =
        Self { here: "the environment", there: "the project", take: None, sync: true };
}

/// Decides about all paths, or says where it cannot. Where both sides changed one of `soft`, it stays.
pub(crate) fn make(
    root: &Path,
    layers: &Layers,
    pairs: &[Pair],
    memory: &Memory,
    way: Way,
    soft: &BTreeSet<Vec<u8>>,
) -> Result<Plan> {
    let there = There::open(root, pairs)?;
    let mut planner =
        Planner { there, layers, memory, way, plan: Plan::default(), conflicts: Vec::new() };
    for pair in pairs {
        planner.way.take = if soft.contains(&pair.path) { Some(false) } else { way.take };
        planner.pair(pair)?;
    }
    if planner.conflicts.is_empty() {
        Ok(planner.plan)
    } else {
        Err(Error::Conflict { here: way.here, conflicts: planner.conflicts })
    }
}

struct Planner<'a> {
    there: There<'a>,
    layers: &'a Layers,
    memory: &'a Memory,
    way: Way,
    plan: Plan,
    conflicts: Vec<Conflict>,
}

impl Planner<'_> {
    fn pair(&mut self, pair: &Pair) -> Result<()> {
        let mut cleared = Vec::new();
        let now = self.there.now(&pair.path, &mut cleared)?;
        let entry = match &now {
            Now::Leaf(entry, _) => Some(entry.clone()),
            _ => None,
        };
        if let (Now::Other(_), None) = (&now, &pair.new) {
            // The file is gone from here too: something else stands there, or above it.
            self.plan.unchanged += 1;
        } else if let Now::Other(what) = now {
            self.obstacle(&pair.path, what);
        } else if self.is(&pair.path, &now, pair.old.as_ref())? {
            self.take(pair, entry, cleared);
        } else if self.is(&pair.path, &now, pair.new.as_ref())?
            || (!self.way.sync && self.memory.is_current(self.layers, pair))
        {
            self.plan.unchanged += 1;
        } else if self.was_brought(pair, &now)? {
            self.take(pair, entry, cleared);
        } else {
            self.both(pair, &now)?;
        }
        Ok(())
    }

    fn is(&self, path: &[u8], now: &Now, side: Option<&Side>) -> Result<bool> {
        self.there.is(path, now, side, self.layers)
    }

    /// Whether a sync finds what an apply brought to the project before: then the environment has not
    /// touched it since, and what the project made of it stands above it.
    fn was_brought(&self, pair: &Pair, now: &Now) -> Result<bool> {
        if !self.way.sync || !self.memory.knows(&pair.path) {
            return Ok(false);
        }
        Ok(match now {
            Now::Absent => self.memory.is_gone(&pair.path),
            Now::Leaf(entry, mode) if entry.size <= TEXT_LIMIT => {
                self.memory.is_text(&pair.path, *mode, &self.there.read(&pair.path, *mode)?)
            }
            _ => false,
        })
    }

    /// Takes the pair as it is.
    fn take(&mut self, pair: &Pair, now: Option<Entry>, mut cleared: Vec<Vec<u8>>) {
        let content = pair.new.clone().map_or(Content::Deleted, Content::Side);
        self.step(pair, content, now);
        if pair.new.is_some() {
            self.plan.cleared.append(&mut cleared);
        }
    }

    fn step(&mut self, pair: &Pair, content: Content, now: Option<Entry>) {
        let mode = mode_after(pair, now.as_ref());
        self.plan.steps.push(Step { path: pair.path.clone(), content, now, mode });
    }

    fn obstacle(&mut self, path: &[u8], what: Obstacle) {
        let here = self.way.here;
        let why = match what {
            Obstacle::Folder => format!("{here} has a folder there"),
            Obstacle::Special => format!("{here} has a special file there"),
            Obstacle::Above => format!("a folder above it is a file or a symlink in {here}"),
        };
        if self.way.take == Some(false) {
            self.plan.kept += 1;
        } else {
            self.conflict(path, None, why);
        }
    }

    fn conflict(&mut self, path: &[u8], line: Option<u64>, why: String) {
        self.conflicts.push(Conflict { path: path_text(path), line, why });
    }

    /// A place that both sides changed, where lines can't be merged.
    fn meet(&mut self, pair: &Pair, now: &Now, line: Option<u64>, why: String) {
        let entry = match now {
            Now::Leaf(entry, _) => Some(entry.clone()),
            _ => None,
        };
        match self.way.take {
            None => self.conflict(&pair.path, line, why),
            Some(false) => self.plan.kept += 1,
            Some(true) => {
                let content = pair.new.clone().map_or(Content::Deleted, Content::Side);
                self.step(pair, content, entry);
            }
        }
    }

    /// Both sides changed the path.
    fn both(&mut self, pair: &Pair, now: &Now) -> Result<()> {
        let path = &pair.path;
        let Way { here, there, .. } = self.way;
        let (entry, mode, new) = match (now, &pair.new) {
            (Now::Leaf(entry, mode), Some(new)) => (entry, *mode, new),
            (_, None) => {
                self.meet(pair, now, None, format!("changed in {here}, deleted in {there}"));
                return Ok(());
            }
            _ => {
                self.meet(pair, now, None, format!("deleted in {here}, changed in {there}"));
                return Ok(());
            }
        };
        if mode.is_link() || new.mode.is_link() {
            self.meet(pair, now, None, "a symlink that both sides changed".into());
            return Ok(());
        }
        if entry.size.max(new.leaf.entry.size) > TEXT_LIMIT {
            self.meet(pair, now, None, "a large file that both sides changed".into());
            return Ok(());
        }
        let ours = self.there.read(path, mode)?;
        let theirs = self.layers.read(new)?;
        let base = match (self.memory.base(path), &pair.old) {
            (Some(base), _) => base,
            (None, Some(old)) if !old.mode.is_link() => self.layers.read(old)?,
            _ => {
                self.meet(pair, now, None, "added on both sides".into());
                return Ok(());
            }
        };
        if [&base, &ours, &theirs].into_iter().any(|t| is_binary(t)) {
            self.meet(pair, now, None, "a binary file that both sides changed".into());
            return Ok(());
        }
        self.lines(pair, now, entry, [&base, &ours, &theirs]);
        Ok(())
    }

    /// Merges line by line.
    fn lines(&mut self, pair: &Pair, now: &Now, entry: &Entry, texts: [&Vec<u8>; 3]) {
        let [base, ours, theirs] = texts;
        match merge(base, ours, theirs) {
            Ok(text) if text == *ours && mode_after(pair, Some(entry)) == entry.mode => {
                self.plan.unchanged += 1;
            }
            Ok(text) => {
                self.plan.merged.push(pair.path.clone());
                self.step(pair, Content::Text(text), Some(entry.clone()));
            }
            Err(_) if self.way.take.is_some() => self.meet(pair, now, None, String::new()),
            Err(lines) => {
                for line in lines {
                    self.conflict(&pair.path, Some(line), "both changed these lines".into());
                }
            }
        }
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
