//! Diffs as text in git's format, which `git apply` accepts: extended headers, quoted names, hunks
//! with three lines around (git's documentation, diff-generate-patch).

use std::io::{Result, Write};
use std::ops::Range;

use super::lines::{Hunk, hunks, split};
use super::side::GitMode;
use crate::quote::git_quoted;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// A version of a file with its contents; `None` in place of contents that are not text.
pub(crate) struct Version {
    pub mode: GitMode,
    pub text: Option<Vec<u8>>,
}

/// Writes the difference between two versions of one path.
pub(crate) fn write(
    out: &mut dyn Write,
    path: &[u8],
    old: Option<&Version>,
    new: Option<&Version>,
) -> Result<()> {
    match (old, new) {
        // git writes a change of kind as a deletion and a new file.
        (Some(a), Some(b)) if a.mode.is_link() != b.mode.is_link() => {
            write(out, path, old, None)?;
            return write(out, path, None, new);
        }
        _ => {}
    }
    let (a, b) = (git_quoted("a/", path), git_quoted("b/", path));
    out.write_all(&[b"diff --git ", a.as_slice(), b" ", &b, b"\n"].concat())?;
    match (old, new) {
        (None, Some(new)) => writeln!(out, "new file mode {}", new.mode.octal())?,
        (Some(old), None) => writeln!(out, "deleted file mode {}", old.mode.octal())?,
        (Some(old), Some(new)) if old.mode != new.mode => {
            writeln!(out, "old mode {}\nnew mode {}", old.mode.octal(), new.mode.octal())?;
        }
        _ => {}
    }
    let name = |v: Option<&Version>, name: &[u8]| {
        let mut name = if v.is_some() { name.to_vec() } else { b"/dev/null".to_vec() };
        // git ends a name that holds a space with a tab, so that it can be read back.
        if v.is_some() && path.contains(&b' ') && !name.starts_with(b"\"") {
            name.push(b'\t');
        }
        name
    };
    let text = |v: Option<&Version>| v.map_or(Some(Vec::new()), |v| v.text.clone());
    match (text(old), text(new)) {
        (Some(x), Some(y)) if x == y => Ok(()),
        (Some(x), Some(y)) => {
            out.write_all(&[b"--- ", name(old, &a).as_slice(), b"\n"].concat())?;
            out.write_all(&[b"+++ ", name(new, &b).as_slice(), b"\n"].concat())?;
            write_hunks(out, &split(&x), &split(&y))
        }
        _ => {
            let or_null = |v: Option<&Version>, n: Vec<u8>| {
                if v.is_some() { n } else { b"/dev/null".to_vec() }
            };
            let (a, b) = (or_null(old, a), or_null(new, b));
            out.write_all(&[b"Binary files ", a.as_slice(), b" and ", &b, b" differ\n"].concat())
        }
    }
}

fn write_hunks(out: &mut dyn Write, old: &[&[u8]], new: &[&[u8]]) -> Result<()> {
    let hunks = hunks(old, new);
    for group in hunks.chunk_by(|a, b| b.before.start - a.before.end <= 2 * CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let before = first.before.start.min(CONTEXT);
        let after = (old.len() - last.before.end).min(CONTEXT);
        let left = first.before.start - before..last.before.end + after;
        let right = first.after.start - before..last.after.end + after;
        writeln!(out, "@@ -{} +{} @@", range(&left), range(&right))?;
        write_group(out, group, left, old, new)?;
    }
    Ok(())
}

fn write_group(
    out: &mut dyn Write,
    group: &[Hunk],
    span: Range<usize>,
    old: &[&[u8]],
    new: &[&[u8]],
) -> Result<()> {
    let mut at = span.start;
    for hunk in group {
        write_lines(out, b' ', &old[at..hunk.before.start])?;
        write_lines(out, b'-', &old[hunk.before.clone()])?;
        write_lines(out, b'+', &new[hunk.after.clone()])?;
        at = hunk.before.end;
    }
    write_lines(out, b' ', &old[at..span.end])
}

fn write_lines(out: &mut dyn Write, mark: u8, lines: &[&[u8]]) -> Result<()> {
    for line in lines {
        out.write_all(&[mark])?;
        out.write_all(line)?;
        if !line.ends_with(b"\n") {
            out.write_all(b"\n\\ No newline at end of file\n")?;
        }
    }
    Ok(())
}

/// A range of lines as a hunk's header has it: from 1; an empty one names the line before it.
fn range(lines: &Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        n => format!("{},{n}", lines.start + 1),
    }
}
