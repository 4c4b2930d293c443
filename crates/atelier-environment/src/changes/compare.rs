//! Walking two merged trees side by side, leaving out what cannot differ.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;

use rustix::io::Errno;

use super::ignored::Ignored;
use super::side::{GitMode, Layers, Pair, Side};
use crate::error::{Error, Result};
use crate::files::entry::Kind;
use crate::files::ignore_file::Rules;
use crate::files::scan::Skipped;
use crate::files::view::{Leaf, Merged, Node};
use crate::quote::as_path;
use atelier_files::below::join;

/// As in the scan of a project: what changed this shortly before may look unchanged. Nanoseconds.
const RACY: i64 = 50_000_000;

/// A comparison under way.
pub(crate) struct Comparison<'a> {
    pub layers: &'a Layers,
    /// When a full copy was whole; what was not touched since is not read.
    pub sealed: Option<i64>,
    /// Layers from this number on came in after the environment was made.
    pub below: usize,
    /// What git ignores; `None` to leave nothing out.
    pub ignored: Option<Ignored<'a>>,
    pub pairs: Vec<Pair>,
    pub skipped: Vec<Skipped>,
}

/// The rules in the current folder, and whether only tracked paths count below it.
#[derive(Clone, Default)]
pub(crate) struct Place {
    rules: Option<Arc<Rules>>,
    only_tracked: bool,
}

impl Place {
    /// The top folder, with the rules from outside the tree.
    pub(crate) fn top(rules: Option<Arc<Rules>>) -> Self {
        Self { rules, only_tracked: false }
    }
}

impl Comparison<'_> {
    /// Compares two folders of the same path; either may be absent.
    pub(crate) fn folders(
        &mut self,
        old: Option<&Merged>,
        new: Option<&Merged>,
        place: &Place,
    ) -> Result<()> {
        if let (Some(old), Some(new)) = (old, new)
            && old.is_same(new)
        {
            return Ok(());
        }
        let Some(here) = new.or(old) else { return Ok(()) };
        let fail = |e: Errno| Error::io("read", as_path(here.path()), e);
        let mut place = place.clone();
        if self.ignored.is_some() {
            place.rules = Ignored::enter(place.rules, here);
        }
        for name in self.candidates(old, new).map_err(fail)? {
            let name = name.to_bytes();
            if name == b".git" {
                continue;
            }
            let path = join(here.path(), name);
            let old = old.map(|d| d.child(name)).transpose().map_err(fail)?.flatten();
            let new = new.map(|d| d.child(name)).transpose().map_err(fail)?.flatten();
            self.names(path, old, new, &place)?;
        }
        Ok(())
    }

    /// The names that may differ: where one side is the other with a layer on top, only those that this
    /// layer has.
    fn candidates(
        &self,
        old: Option<&Merged>,
        new: Option<&Merged>,
    ) -> Result<Vec<CString>, Errno> {
        let (shown, covers) = match (old, new) {
            (Some(old), Some(new)) if new.shows_below(old) => (new, true),
            (Some(old), Some(new)) if old.shows_below(new) => (old, true),
            (_, Some(new)) => (new, false),
            (Some(old), None) => (old, false),
            (None, None) => return Ok(Vec::new()),
        };
        let mut all: BTreeMap<CString, usize> = shown.names()?;
        if covers {
            all.retain(|_, layer| Some(*layer) == shown.top());
        } else if let Some(old) = old {
            all.extend(old.names()?);
        }
        Ok(all.into_keys().collect())
    }

    fn names(
        &mut self,
        path: Vec<u8>,
        old: Option<Node>,
        new: Option<Node>,
        place: &Place,
    ) -> Result<()> {
        let is_dir = [&old, &new].into_iter().flatten().any(|n| matches!(n, Node::Dir(_)));
        let Some(place) = self.enter(&path, is_dir, place) else { return Ok(()) };
        match (old, new) {
            (None, None) => Ok(()),
            (Some(Node::Dir(old)), Some(Node::Dir(new))) => {
                self.folders(Some(&old), Some(&new), &place)
            }
            (Some(Node::Dir(old)), new) => {
                self.folders(Some(&old), None, &place)?;
                self.leaves(path, None, new.and_then(leaf))
            }
            (old, Some(Node::Dir(new))) => {
                self.leaves(path, old.and_then(leaf), None)?;
                self.folders(None, Some(&new), &place)
            }
            (old, new) => self.leaves(path, old.and_then(leaf), new.and_then(leaf)),
        }
    }

    /// What holds at a path and below it; `None` when git ignores all of that.
    fn enter(&mut self, path: &[u8], is_dir: bool, place: &Place) -> Option<Place> {
        let Some(ignored) = &mut self.ignored else { return Some(place.clone()) };
        let hit =
            place.only_tracked || place.rules.as_ref().is_some_and(|r| r.is_ignored(path, is_dir));
        if !hit {
            return Some(place.clone());
        }
        ignored.is_tracked(path).then(|| Place { only_tracked: true, ..place.clone() })
    }

    fn leaves(&mut self, path: Vec<u8>, old: Option<Leaf>, new: Option<Leaf>) -> Result<()> {
        let unchanged = match (&old, &new) {
            (Some(old), Some(new)) if old.layer == new.layer => true,
            // Bases share what did not change by hard links.
            (Some(old), Some(new)) if old.entry.is_link_of(&new.entry) => true,
            // Folders and times of a full copy are its own; content is not touched without ctime.
            (Some(old), Some(new)) => {
                old.entry.kind == new.entry.kind
                    && old.layer < self.below
                    && self.sealed.is_some_and(|sealed| new.entry.ctime < sealed - RACY)
            }
            _ => false,
        };
        if unchanged {
            return Ok(());
        }
        if let Some(new) = &new
            && GitMode::of(&new.entry).is_none()
        {
            let what = if new.entry.kind == Kind::Fifo { "a FIFO" } else { "a socket or a device" };
            if old.as_ref().is_none_or(|o| o.entry.kind != new.entry.kind) {
                self.skipped.push(Skipped::new(&path, format!("{what} is no part of a diff")));
            }
        }
        let side = |leaf: Leaf| GitMode::of(&leaf.entry).map(|mode| Side { leaf, mode });
        let (old, new) = (old.and_then(side), new.and_then(side));
        let same = match (&old, &new) {
            (None, None) => true,
            (Some(old), Some(new)) => old.mode == new.mode && self.layers.same_bytes(old, new)?,
            _ => false,
        };
        if !same {
            self.pairs.push(Pair { path, old, new });
        }
        Ok(())
    }
}

fn leaf(node: Node) -> Option<Leaf> {
    match node {
        Node::Leaf(leaf) => Some(leaf),
        Node::Dir(_) => None,
    }
}
