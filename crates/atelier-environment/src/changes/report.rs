//! The diff of an environment as a value: each changed path with its numbers, and its text.

use std::io::Write;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::compare::{Comparison, Place};
use super::ignored::Ignored;
use super::lines::{hunks, split};
use super::side::{Layers, Pair, Side, TEXT_LIMIT, is_binary};
use super::unified::{Version, write};
use crate::error::{Error, Result};
use crate::files::scan::Skipped;
use crate::files::view::Merged;
use crate::project::Project;
use crate::quote::{PathJson, as_path, path_text};
use crate::workspace::{Mode, Workspace};

/// What counts as a change.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiffOptions {
    /// Also what git ignores, such as `node_modules` (but never `.git`).
    pub all: bool,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is new.
    Added,
    /// Its content changed, and maybe its mode.
    Modified,
    /// It is gone.
    Deleted,
    /// Only its executable bit changed.
    Mode,
    /// A file became a symlink, or the other way round.
    Type,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// The path below the project's root: text, or its bytes when they are no UTF-8.
    #[serde(with = "crate::quote::path_json")]
    #[schemars(with = "PathJson")]
    pub path: PathBuf,
    /// What happened to it.
    pub status: Status,
    /// git's mode before: `100644`, `100755` or `120000`; none when it is new.
    pub old_mode: Option<String>,
    /// git's mode after; none when it is gone.
    pub new_mode: Option<String>,
    /// Whether its content is no text (or more text than 64 MiB).
    pub binary: bool,
    /// New lines.
    pub insertions: u64,
    /// Lines that are gone.
    pub deletions: u64,
    /// Bytes before.
    pub old_size: Option<u64>,
    /// Bytes after.
    pub new_size: Option<u64>,
}

/// What an environment changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Diff {
    /// The changed paths in order.
    pub changes: Vec<Change>,
    /// New lines in all.
    pub insertions: u64,
    /// Lines that are gone, in all.
    pub deletions: u64,
    /// Paths that no diff can hold: FIFOs, sockets, devices.
    pub skipped: Vec<Skipped>,
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) layers: Layers,
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) pairs: Vec<Pair>,
}

/// What the environment changed against the snapshot that it was made from.
///
/// # Errors
/// When its layers cannot be read, or git fails to say what is tracked.
pub fn diff(workspace: &Workspace, project: &Project, options: DiffOptions) -> Result<Diff> {
    let (layers, pairs, skipped) = pairs(workspace, project, options)?;
    let changes = pairs.iter().map(|p| describe(&layers, p)).collect::<Result<Vec<_>>>()?;
    let insertions = changes.iter().map(|c| c.insertions).sum();
    let deletions = changes.iter().map(|c| c.deletions).sum();
    Ok(Diff { changes, insertions, deletions, skipped, layers, pairs })
}

/// The changed paths, without reading more of them than it takes to know that they changed.
pub(crate) fn pairs(
    workspace: &Workspace,
    project: &Project,
    options: DiffOptions,
) -> Result<(Layers, Vec<Pair>, Vec<Skipped>)> {
    let (top, sealed) = match &workspace.mode {
        Mode::Overlay { upper, .. } => (upper.as_path(), None),
        Mode::Copy { tree, sealed } => (tree.as_path(), Some(*sealed)),
    };
    let mut all: Vec<&Path> = std::iter::once(top).chain(paths(&workspace.lowers)).collect();
    let below = all.len();
    let before = numbered(workspace.snapshot(), &mut all, 1);
    let layers = Layers::open(&all)?;
    let old = Merged::open(before.iter().map(|at| (*at, all[*at])))?;
    let shown = if sealed.is_some() { 1 } else { below };
    let new = Merged::open(all[..shown].iter().copied().enumerate())?;
    let ignored = if options.all { None } else { Ignored::new(project, [&old, &new]) };
    let rules = ignored.as_ref().and_then(Ignored::top_rules);
    let mut comparison = Comparison {
        layers: &layers,
        sealed,
        below,
        ignored,
        pairs: Vec::new(),
        skipped: Vec::new(),
    };
    comparison.folders(Some(&old), Some(&new), &Place::top(rules))?;
    let Comparison { pairs, skipped, .. } = comparison;
    Ok((layers, pairs, skipped))
}

/// The paths that differ between two stacks of read-only layers; of all, or without what git ignores.
pub(crate) fn pairs_between(
    old: &[PathBuf],
    new: &[PathBuf],
    without_ignored: Option<&Project>,
) -> Result<(Layers, Vec<Pair>)> {
    let mut all: Vec<&Path> = paths(old).collect();
    let after = numbered(new, &mut all, 0);
    let layers = Layers::open(&all)?;
    let old = Merged::open((0..old.len()).map(|at| (at, all[at])))?;
    let new = Merged::open(after.iter().map(|at| (*at, all[*at])))?;
    let ignored = without_ignored.and_then(|project| Ignored::new(project, [&old, &new]));
    let rules = ignored.as_ref().and_then(Ignored::top_rules);
    let (pairs, skipped) = (Vec::new(), Vec::new());
    let below = all.len();
    let mut comparison =
        Comparison { layers: &layers, sealed: None, below, ignored, pairs, skipped };
    comparison.folders(Some(&old), Some(&new), &Place::top(rules))?;
    let pairs = comparison.pairs;
    Ok((layers, pairs))
}

/// The numbers of layers among all, which those that are new are added to. Each layer has one number, so
/// that what two stacks share is not looked at.
fn numbered<'a>(layers: &'a [PathBuf], all: &mut Vec<&'a Path>, first: usize) -> Vec<usize> {
    let number = |layer: &'a Path| match all[first..].iter().position(|own| *own == layer) {
        Some(at) => first + at,
        None => {
            all.push(layer);
            all.len() - 1
        }
    };
    paths(layers).map(number).collect()
}

fn paths(layers: &[PathBuf]) -> impl Iterator<Item = &Path> {
    layers.iter().map(PathBuf::as_path)
}

/// One version's text, when it is text.
fn version(layers: &Layers, side: &Side) -> Result<Version> {
    let text = if side.leaf.entry.size > TEXT_LIMIT {
        None
    } else {
        Some(layers.read(side)?).filter(|bytes| side.mode.is_link() || !is_binary(bytes))
    };
    Ok(Version { mode: side.mode, text })
}

fn versions(layers: &Layers, pair: &Pair) -> Result<[Option<Version>; 2]> {
    let version = |side: &Option<Side>| side.as_ref().map(|s| version(layers, s)).transpose();
    Ok([version(&pair.old)?, version(&pair.new)?])
}

fn describe(layers: &Layers, pair: &Pair) -> Result<Change> {
    let [old, new] = versions(layers, pair)?;
    let text = |v: &Option<Version>| match v {
        Some(version) => version.text.clone(),
        None => Some(Vec::new()),
    };
    let (before, after) = (text(&old), text(&new));
    let status = match (&old, &new) {
        (None, _) => Status::Added,
        (_, None) => Status::Deleted,
        (Some(a), Some(b)) if a.mode.is_link() != b.mode.is_link() => Status::Type,
        (Some(_), Some(_)) if before.is_some() && before == after => Status::Mode,
        (Some(a), Some(b)) if a.mode != b.mode && same_size_and_bytes(layers, pair)? => {
            Status::Mode
        }
        _ => Status::Modified,
    };
    let mut change = Change {
        path: as_path(&pair.path).to_owned(),
        status,
        old_mode: old.as_ref().map(|v| v.mode.octal().to_owned()),
        new_mode: new.as_ref().map(|v| v.mode.octal().to_owned()),
        binary: status != Status::Mode && (before.is_none() || after.is_none()),
        insertions: 0,
        deletions: 0,
        old_size: pair.old.as_ref().map(|s| s.leaf.entry.size),
        new_size: pair.new.as_ref().map(|s| s.leaf.entry.size),
    };
    if let (Some(before), Some(after)) = (before, after) {
        let (before, after) = (split(&before), split(&after));
        if status == Status::Type {
            (change.deletions, change.insertions) = (before.len() as u64, after.len() as u64);
        } else {
            for hunk in hunks(&before, &after) {
                change.deletions += hunk.before.len() as u64;
                change.insertions += hunk.after.len() as u64;
            }
        }
    }
    Ok(change)
}

fn same_size_and_bytes(layers: &Layers, pair: &Pair) -> Result<bool> {
    match (&pair.old, &pair.new) {
        (Some(old), Some(new)) => layers.same_bytes(old, new),
        _ => Ok(false),
    }
}

impl Diff {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Writes the diff as text in git's format, one path after the other.
    ///
    /// # Errors
    /// When a layer cannot be read or `out` not be written.
    pub fn write_unified(&self, out: &mut dyn Write) -> Result<()> {
        for (pair, change) in self.pairs.iter().zip(&self.changes) {
            let [mut old, mut new] = if change.status == Status::Mode {
                let bare = |s: &Option<Side>| {
                    s.as_ref().map(|s| Version { mode: s.mode, text: Some(Vec::new()) })
                };
                [bare(&pair.old), bare(&pair.new)]
            } else {
                versions(&self.layers, pair)?
            };
            if change.binary {
                // One binary side makes the whole change binary.
                for version in [&mut old, &mut new].into_iter().flatten() {
                    version.text = None;
                }
            }
            write(out, &pair.path, old.as_ref(), new.as_ref())
                .map_err(|e| Error::io("write", Path::new("the diff"), e))?;
        }
        Ok(())
    }

    /// The summary that `git diff --stat` prints, for a terminal of `width` columns.
    #[must_use]
    pub fn stat(&self, width: usize) -> String {
        if self.changes.is_empty() {
            return String::new();
        }
        let name = |pair: &Pair| path_text(&pair.path);
        let names: Vec<String> = self.pairs.iter().map(name).collect();
        let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        let most = self.changes.iter().map(|c| c.insertions + c.deletions).max().unwrap_or(0);
        let digits = most.to_string().len().max(3);
        let name_width = longest.min(width.saturating_sub(digits + 16).max(10));
        let bar = width.saturating_sub(name_width + digits + 5).max(6) as u64;
        let mut text = String::new();
        for (change, name) in self.changes.iter().zip(&names) {
            text += &stat_line(change, &shortened(name, name_width), name_width, digits, most, bar);
        }
        let plural = |n: u64, one: &str| {
            format!("{n} {}", if n == 1 { one.to_owned() } else { one.replacen('(', "s(", 1) })
        };
        let files = self.changes.len();
        text += &format!(" {files} file{} changed", if files == 1 { "" } else { "s" });
        if self.insertions > 0 || self.deletions == 0 {
            text += &format!(", {}", plural(self.insertions, "insertion(+)"));
        }
        if self.deletions > 0 || self.insertions == 0 {
            text += &format!(", {}", plural(self.deletions, "deletion(-)"));
        }
        text + "\n"
    }
}

/// The end of a name that is too long.
fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length - width.saturating_sub(3)).collect();
    format!("...{end}")
}

fn stat_line(
    change: &Change,
    name: &str,
    name_width: usize,
    digits: usize,
    most: u64,
    bar: u64,
) -> String {
    if change.binary {
        let size = |s: Option<u64>| s.unwrap_or(0);
        let (old, new) = (size(change.old_size), size(change.new_size));
        return format!(" {name:<name_width$} | {:>digits$} {old} -> {new} bytes\n", "Bin");
    }
    let scale = |n: u64| if most <= bar || n == 0 { n } else { 1 + n * (bar - 1) / most };
    let (plus, minus) = (scale(change.insertions), scale(change.deletions));
    let marks = "+".repeat(plus as usize) + &"-".repeat(minus as usize);
    let total = change.insertions + change.deletions;
    let line = format!(" {name:<name_width$} | {total:>digits$} {marks}");
    format!("{}\n", line.trim_end())
}
