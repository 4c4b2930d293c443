//! What changed in a project since its newest base, as an overlay layer over that base; or, when
//! that is much, a new base that shares what did not change.

use std::os::fd::AsFd;
use std::path::Path;

use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::files::copy::{Item, Job, Outcome, copy};
use crate::files::entry::{Entry, Kind, is_below, order};
use crate::files::scan::{Scan, now};
use atelier_files::below::open_root;

/// A change of a file moves its `ctime` to the kernel's clock, which stands still between two
/// ticks (4 ms at 250 Hz). What changed this shortly before it was copied may have changed again
/// unseen, and is copied once more. Nanoseconds.
const RACY: i64 = 50_000_000;
/// Up to this many changed paths a layer is always better than a new base.
const FEW: usize = 64;
/// The share of a project's paths that may differ from its base, as a divisor.
const SHARE: usize = 5;
/// The bytes that may differ from the base.
const MUCH: u64 = 64 << 20;

/// The difference between a base and a project.
#[derive(Debug, Default)]
pub(crate) struct Delta<'a> {
    /// What a layer must hold, in walking order: changed and new paths, and the folders above.
    pub copies: Vec<&'a Entry>,
    /// What it must hide.
    pub whiteouts: Vec<&'a [u8]>,
    /// Changed paths, without folders.
    pub changed: usize,
    pub bytes: u64,
}

impl Delta<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.whiteouts.is_empty()
    }

    /// Whether a layer for one environment is cheaper than a new base for all.
    pub(crate) fn is_small(&self, paths: usize) -> bool {
        self.changed <= FEW.max(paths / SHARE) && self.bytes <= MUCH
    }
}

/// Walks both lists side by side.
struct Walk<'a> {
    delta: Delta<'a>,
    /// The folders of the project above the current path, and whether the layer has them yet.
    above: Vec<(&'a Entry, bool)>,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, path: &[u8]) {
        while self.above.last().is_some_and(|(dir, _)| !is_below(path, &dir.path)) {
            self.above.pop();
        }
    }

    /// Puts the folders above the current path into the layer.
    fn need_folders(&mut self) {
        for (dir, there) in &mut self.above {
            if !std::mem::replace(there, true) {
                self.delta.copies.push(dir);
            }
        }
    }

    fn take(&mut self, entry: &'a Entry, changed: bool) {
        if changed {
            self.need_folders();
            self.delta.copies.push(entry);
        }
        if entry.kind == Kind::Dir {
            self.above.push((entry, changed));
        } else if changed {
            self.delta.changed += 1;
            self.delta.bytes += entry.size;
        }
    }

    fn hide(&mut self, path: &'a [u8]) {
        self.need_folders();
        self.delta.whiteouts.push(path);
        self.delta.changed += 1;
    }
}

/// Compares a base's manifest with a scan of the project.
pub(crate) fn compare<'a>(base: &'a Manifest, scan: &'a Scan) -> Delta<'a> {
    let mut walk = Walk { delta: Delta::default(), above: Vec::new() };
    let (mut old, mut new) = (base.entries.iter().peekable(), scan.entries.iter().peekable());
    // A path of the base that is gone or no folder any more: what was below needs no whiteout.
    let mut hidden: Option<&[u8]> = None;
    loop {
        let next = match (old.peek(), new.peek()) {
            (None, None) => return walk.delta,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => order(&a.path, &b.path),
        };
        let before = if next.is_le() { old.next() } else { None };
        let after = if next.is_ge() { new.next() } else { None };
        match (before, after) {
            (Some(before), None) => {
                if !hidden.is_some_and(|h| is_below(&before.path, h)) {
                    walk.enter(&before.path);
                    walk.hide(&before.path);
                    hidden = Some(&before.path);
                }
            }
            (before, Some(after)) => {
                walk.enter(&after.path);
                walk.take(after, !before.is_some_and(|b| is_same(base, b, after)));
                if before.is_some_and(|b| b.kind == Kind::Dir) && after.kind != Kind::Dir {
                    hidden = Some(&after.path);
                }
            }
            (None, None) => return walk.delta,
        }
    }
}

fn is_same(base: &Manifest, before: &Entry, after: &Entry) -> bool {
    before.is_unchanged(after)
        && (before.kind == Kind::Dir || before.ctime < base.started.saturating_sub(RACY))
}

/// Makes the layer in the empty folder `target`.
pub(crate) fn make_layer(
    project: &Path,
    target: &Path,
    base: &Manifest,
    scan: &Scan,
    delta: &Delta<'_>,
) -> Result<Outcome> {
    let source = open_root(project).map_err(|e| Error::io("open", project, e))?;
    let fd = open_root(target).map_err(|e| Error::io("open", target, e))?;
    let in_base = |path: &[u8]| base.entries.binary_search_by(|e| order(&e.path, path)).is_ok();
    let item = |entry| Item { entry, source: 0, link: false };
    copy(&Job {
        sources: &[source.as_fd()],
        target: fd.as_fd(),
        target_path: target,
        root: &scan.root,
        items: delta.copies.iter().map(|e| item(e)).collect(),
        whiteouts: delta.whiteouts.clone(),
        hide: &in_base,
        frozen: false,
    })
}

/// Makes a generation's tree and manifest in the folder `new`: unchanged files are hard links to
/// the previous generation's, which is never written; the rest is copied.
pub(crate) fn make_base(
    project: &Path,
    new: &Path,
    scan: &Scan,
    previous: Option<(&Path, &Manifest)>,
) -> Result<Outcome> {
    let started = now();
    let tree = new.join("tree");
    std::fs::create_dir(&tree).map_err(|e| Error::io("create", &tree, e))?;
    let fd = open_root(&tree).map_err(|e| Error::io("open", &tree, e))?;
    let mut sources = vec![open_root(project).map_err(|e| Error::io("open", project, e))?];
    let mut unchanged = vec![false; scan.entries.len()];
    if let Some((tree, manifest)) = previous {
        sources.push(open_root(tree).map_err(|e| Error::io("open", tree, e))?);
        mark_unchanged(manifest, scan, &mut unchanged);
    }
    let items = scan.entries.iter().zip(&unchanged).map(|(entry, same)| {
        let link = *same && entry.kind != Kind::Dir;
        Item { entry, source: usize::from(link), link }
    });
    let borrowed: Vec<_> = sources.iter().map(AsFd::as_fd).collect();
    let outcome = copy(&Job {
        sources: &borrowed,
        target: fd.as_fd(),
        target_path: &tree,
        root: &scan.root,
        items: items.collect(),
        whiteouts: Vec::new(),
        hide: &|_| false,
        frozen: false,
    })?;
    write_manifest(new, started, scan, &outcome)?;
    Ok(outcome)
}

fn mark_unchanged(base: &Manifest, scan: &Scan, unchanged: &mut [bool]) {
    let mut old = base.entries.iter().peekable();
    for (entry, same) in scan.entries.iter().zip(unchanged) {
        while old.next_if(|o| order(&o.path, &entry.path).is_lt()).is_some() {}
        *same = old.peek().is_some_and(|o| o.path == entry.path && is_same(base, o, entry));
    }
}

fn write_manifest(new: &Path, started: i64, scan: &Scan, outcome: &Outcome) -> Result<()> {
    use std::io::Write;
    let manifest = Manifest { started, root: scan.root.clone(), entries: outcome.copied.clone() };
    let path = new.join("manifest");
    let fail = |e| Error::io("write", &path, e);
    let mut file = std::fs::File::create(&path).map_err(fail)?;
    file.write_all(&manifest.encode()).map_err(fail)?;
    file.sync_data().map_err(fail)
}
