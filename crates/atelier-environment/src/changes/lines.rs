//! Line by line: hunks between two texts, and the merge of three.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};

/// The lines of a text, each with its line end.
pub(crate) fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|b| *b == b'\n').collect()
}

/// Lines of `before` that became lines of `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub before: Range<usize>,
    pub after: Range<usize>,
}

/// The changes from one text to another, in order, never touching.
pub(crate) fn hunks(before: &[&[u8]], after: &[&[u8]]) -> Vec<Hunk> {
    let mut input: InternedInput<&[u8]> = InternedInput::default();
    input.update_before(before.iter().copied());
    input.update_after(after.iter().copied());
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let range = |r: Range<u32>| r.start as usize..r.end as usize;
    diff.hunks().map(|h| Hunk { before: range(h.before), after: range(h.after) }).collect()
}

/// Merges what two sides made of one text. `Err`: the lines of `ours`, from 1, where both changed
/// the same lines, or neighbouring ones, in different ways.
pub(crate) fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Vec<u8>, Vec<u64>> {
    let (base, ours, theirs) = (split(base), split(ours), split(theirs));
    let (a, b) = (hunks(&base, &ours), hunks(&base, &theirs));
    let (mut a, mut b) = (Changes::new(&a, &ours), Changes::new(&b, &theirs));
    let (mut out, mut conflicts, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(start) = [a.next(), b.next()].into_iter().flatten().min() {
        out.extend(base[at..start].concat());
        let mut end = start;
        loop {
            let grown = a.take(end).max(b.take(end)).max(end);
            if grown == end && !a.touches(end) && !b.touches(end) {
                break;
            }
            end = grown;
        }
        let (mine, yours) = (a.lines(start, end), b.lines(start, end));
        match (a.finish(end), b.finish(end)) {
            (false, _) => out.extend(yours.concat()),
            (true, false) => out.extend(mine.concat()),
            (true, true) if mine == yours => out.extend(mine.concat()),
            (true, true) => conflicts.push(a.line_of(start) as u64 + 1),
        }
        at = end;
    }
    out.extend(base[at..].concat());
    if conflicts.is_empty() { Ok(out) } else { Err(conflicts) }
}

/// One side's hunks, taken region by region.
struct Changes<'a> {
    hunks: &'a [Hunk],
    lines: &'a [&'a [u8]],
    /// The first hunk of the current region, and the first after it.
    from: usize,
    to: usize,
    /// Where the current region begins on this side.
    begin: usize,
}

impl<'a> Changes<'a> {
    fn new(hunks: &'a [Hunk], lines: &'a [&'a [u8]]) -> Self {
        Self { hunks, lines, from: 0, to: 0, begin: 0 }
    }

    fn next(&self) -> Option<usize> {
        self.hunks.get(self.to).map(|h| h.before.start)
    }

    fn touches(&self, end: usize) -> bool {
        self.next().is_some_and(|start| start <= end)
    }

    /// Takes the next hunk when it touches the region; returns where the region then ends.
    fn take(&mut self, end: usize) -> usize {
        match self.hunks.get(self.to) {
            Some(hunk) if hunk.before.start <= end => {
                self.to += 1;
                hunk.before.end
            }
            _ => end,
        }
    }

    /// The line of this side that corresponds to a line of the base outside this side's hunks
    /// before the region.
    fn position(&self, line: usize, hunks: usize) -> usize {
        match hunks.checked_sub(1).map(|last| &self.hunks[last]) {
            Some(hunk) => hunk.after.end + (line - hunk.before.end),
            None => line,
        }
    }

    /// This side's lines for a region of the base.
    fn lines(&mut self, start: usize, end: usize) -> &'a [&'a [u8]] {
        self.begin = self.position(start, self.from);
        &self.lines[self.begin..self.position(end, self.to)]
    }

    /// Ends the region; whether this side changed anything in it.
    fn finish(&mut self, _end: usize) -> bool {
        std::mem::replace(&mut self.from, self.to) != self.to
    }

    fn line_of(&self, _start: usize) -> usize {
        self.begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_in_different_places_come_together() {
        let base = b"1\n2\n3\n4\n5\n6\n7\n";
        let ours = b"one\n2\n3\n4\n5\n6\n7\n";
        let theirs = b"1\n2\n3\n4\n5\nsix\nseven\neight\n";
        assert_eq!(merge(base, ours, theirs).unwrap(), b"one\n2\n3\n4\n5\nsix\nseven\neight\n");
        assert_eq!(merge(base, theirs, ours).unwrap(), b"one\n2\n3\n4\n5\nsix\nseven\neight\n");
    }

    #[test]
    fn the_same_change_on_both_sides_is_none_too_many() {
        assert_eq!(merge(b"a\nb\n", b"a\nB\n", b"a\nB\n").unwrap(), b"a\nB\n");
        assert_eq!(merge(b"", b"new\n", b"new\n").unwrap(), b"new\n");
    }

    #[test]
    fn the_same_lines_changed_twice_are_a_conflict_at_our_line() {
        assert_eq!(merge(b"1\n2\n3\n", b"0\n1\nX\n3\n", b"1\nY\n3\n"), Err(vec![3]));
        // Neighbouring lines too, as in git.
        assert_eq!(merge(b"1\n2\n3\n4\n", b"1\nX\n3\n4\n", b"1\n2\nY\n4\n"), Err(vec![2]));
        assert_eq!(merge(b"1\n", b"1\nA\n", b"1\nB\n"), Err(vec![2]));
    }

    #[test]
    fn deletions_and_missing_line_ends_merge() {
        assert_eq!(
            merge(b"1\n2\n3\n4\n5", b"2\n3\n4\n5", b"1\n2\n3\n4\n5\n").unwrap(),
            b"2\n3\n4\n5\n"
        );
    }
}
