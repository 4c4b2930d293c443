//! Changes of an environment in files that were rendered for it, said of the project's own files: rendered lines
//! never come back.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::base::store::make_dir;
use crate::changes::lines::{Hunk, hunks, split};
use crate::changes::side::{GitMode, Layers, Pair, Side, TEXT_LIMIT, is_binary};
use crate::error::{Error, Result};
use crate::files::entry::Entry;
use crate::files::scan::Skipped;
use crate::files::view::{Leaf, Merged, Node};
use crate::quote::as_path;
use crate::snapshot::RENDERED;
use crate::workspace::Workspace;
use atelier_files::below::{open_dir, open_root, split as split_path, stat_at};

/// What is to be brought back.
pub(crate) struct Own {
    pub layers: Layers,
    pub pairs: Vec<Pair>,
    /// Pairs of rendered files as they are inside.
    pub shown: Vec<Pair>,
    pub skipped: Vec<Skipped>,
    /// Holds what was made of them.
    _folder: Option<TempDir>,
}

/// Changes as the project would have them.
pub(crate) fn own(
    workspace: &Workspace,
    layers: Layers,
    pairs: Vec<Pair>,
    skipped: Vec<Skipped>,
) -> Result<Own> {
    let top = workspace.snapshot().first().filter(|layer| layer.ends_with(RENDERED));
    let rendered = top.and_then(|top| layers.number(top));
    let is_rendered =
        |pair: &Pair| pair.old.as_ref().is_some_and(|old| Some(old.leaf.layer) == rendered);
    let (shown, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(is_rendered);
    let mut own = Own { layers, pairs, shown: Vec::new(), skipped, _folder: None };
    if shown.is_empty() {
        return Ok(own);
    }
    let dir = workspace.layer_dir();
    let folder = tempfile::tempdir_in(dir).map_err(|e| Error::io("write", dir, e))?;
    let mut plain = Plain {
        layer: own.layers.add(folder.path())?,
        folder: folder.path(),
        below: below(workspace, &own.layers)?,
    };
    for pair in &shown {
        plain.pair(&mut own, pair)?;
    }
    own._folder = Some(folder);
    own.shown = shown;
    own.pairs.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(own)
}

/// The snapshot without what was rendered.
fn below(workspace: &Workspace, layers: &Layers) -> Result<Merged> {
    let numbered = |path: &PathBuf| Some((layers.number(path)?, layers.path(layers.number(path)?)));
    Merged::open(workspace.snapshot().iter().skip(1).filter_map(numbered))
}

struct Plain<'a> {
    /// The number of the folder as a layer.
    layer: usize,
    folder: &'a Path,
    below: Merged,
}

impl Plain<'_> {
    fn pair(&mut self, own: &mut Own, pair: &Pair) -> Result<()> {
        let path = &pair.path;
        let found = self.below.find(path).map_err(|e| Error::io("read", as_path(path), e))?;
        let raw = match found {
            Some(Node::Leaf(leaf)) => GitMode::of(&leaf.entry).map(|mode| Side { leaf, mode }),
            _ => None,
        };
        let mut plain = Pair { path: path.clone(), old: raw.clone(), new: pair.new.clone() };
        if let (Some(raw), Some(old), Some(new)) = (&raw, &pair.old, &pair.new)
            && !new.mode.is_link()
            && new.leaf.entry.size <= TEXT_LIMIT
        {
            let [raw_text, old, text] =
                [own.layers.read(raw)?, own.layers.read(old)?, own.layers.read(new)?];
            if !is_binary(&text) {
                let (text, dropped) = unrendered(&raw_text, &old, &text);
                if dropped {
                    let why =
                        "what changed in its rendered lines, which stay as the project has them";
                    own.skipped.push(Skipped::new(path, why));
                }
                if text == raw_text && raw.mode == new.mode {
                    return Ok(());
                }
                plain.new = Some(self.write(path, new, &text)?);
            }
        }
        own.pairs.push(plain);
        Ok(())
    }

    fn write(&self, path: &[u8], like: &Side, text: &[u8]) -> Result<Side> {
        let at = self.folder.join(as_path(path));
        let fail = |e: std::io::Error| Error::io("write", &at, e);
        if let Some(dir) = at.parent() {
            make_dir(dir)?;
        }
        std::fs::write(&at, text).map_err(fail)?;
        let (dir, name) = split_path(path);
        let root = open_root(self.folder).map_err(|e| fail(e.into()))?;
        let dir = open_dir(std::os::fd::AsFd::as_fd(&root), dir).map_err(|e| fail(e.into()))?;
        let stat = stat_at(std::os::fd::AsFd::as_fd(&dir), name).map_err(|e| fail(e.into()))?;
        let gone = || fail(std::io::Error::other("it is gone again"));
        let mut entry = Entry::new(path.to_vec(), &stat.ok_or_else(gone)?);
        entry.mode = like.leaf.entry.mode;
        Ok(Side { leaf: Leaf { layer: self.layer, entry }, mode: like.mode })
    }
}

/// What an environment made of a rendered text, as if nothing had been rendered; and whether it changed rendered
/// lines, which is left out.
fn unrendered(raw: &[u8], rendered: &[u8], text: &[u8]) -> (Vec<u8>, bool) {
    let (raw, rendered, text) = (split(raw), split(rendered), split(text));
    let back = by_line(hunks(&rendered, &raw));
    let all = by_line(hunks(&rendered, &text));
    let meets = |hunk: &Hunk| back.iter().any(|other| overlap(&hunk.before, &other.before));
    let (left_out, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(meets);
    let mut changes: Vec<(Hunk, bool)> = back
        .iter()
        .map(|hunk| (hunk.clone(), true))
        .chain(kept.into_iter().map(|h| (h, false)))
        .collect();
    changes.sort_by_key(|(hunk, _)| (hunk.before.start, hunk.before.end));
    let (mut out, mut at) = (Vec::new(), 0);
    for (hunk, is_back) in changes {
        out.extend(rendered[at..hunk.before.start].concat());
        let lines = if is_back { &raw } else { &text };
        out.extend(lines[hunk.after].concat());
        at = hunk.before.end;
    }
    out.extend(rendered[at..].concat());
    (out, !left_out.is_empty())
}

/// Hunks that replace as many lines as they bring, taken apart: neighbours have nothing to do with one another.
fn by_line(all: Vec<Hunk>) -> Vec<Hunk> {
    let apart = |hunk: Hunk| {
        if hunk.before.len() != hunk.after.len() {
            return vec![hunk];
        }
        let single = |(b, a): (usize, usize)| Hunk { before: b..b + 1, after: a..a + 1 };
        hunk.before.zip(hunk.after).map(single).collect()
    };
    all.into_iter().flat_map(apart).collect()
}

/// Whether two ranges of lines have one in common; an empty one lies between lines.
fn overlap(a: &std::ops::Range<usize>, b: &std::ops::Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str, rendered: &str, text: &str) -> (String, bool) {
        let (out, dropped) = unrendered(raw.as_bytes(), rendered.as_bytes(), text.as_bytes());
        (String::from_utf8(out).unwrap(), dropped)
    }

    #[test]
    fn lines_beside_rendered_ones_come_back_and_rendered_ones_do_not() {
        let (raw, rendered) = ("URL=$B\nA=1\n", "URL=http://a\nA=1\n");
        assert_eq!(text(raw, rendered, "URL=http://a\nA=2\n"), ("URL=$B\nA=2\n".into(), false));
        let more = "FIRST=1\nURL=http://a\nA=1\nLAST=1\n";
        assert_eq!(text(raw, rendered, more), ("FIRST=1\nURL=$B\nA=1\nLAST=1\n".into(), false));
        assert_eq!(text(raw, rendered, "URL=http://b\nA=2\n"), ("URL=$B\nA=2\n".into(), true));
        assert_eq!(text(raw, rendered, "A=1\n"), ("URL=$B\nA=1\n".into(), true));
    }

    #[test]
    fn rendered_text_may_have_other_numbers_of_lines() {
        let (raw, rendered) = ("@\nA=1\n", "x\ny\nA=1\n");
        assert_eq!(text(raw, rendered, "x\ny\nA=2\n"), ("@\nA=2\n".into(), false));
    }
}
