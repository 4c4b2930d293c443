//! `.dockerignore`: which files of a folder are not for a build. The last line that matches wins, and a
//! folder that matches takes what is in it along.

use std::path::Path;

/// What is left out.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    /// Whether it brings back what others leave out.
    keeps: bool,
    parts: Vec<String>,
}

impl Ignored {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|l| !l.starts_with('#'));
        Self { lines: lines.filter_map(|line| Line::parse(line.trim())).collect() }
    }

    /// Whether a path below the folder is left out.
    pub(crate) fn leaves_out(&self, path: &Path) -> bool {
        let path: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        let fits = |line: &&Line| (1..=path.len()).any(|end| fits(&line.parts, &path[..end]));
        self.lines.iter().rfind(fits).is_some_and(|line| !line.keeps)
    }

    /// Whether something in a folder that is left out may be wanted all the same.
    pub(crate) fn has_exceptions(&self) -> bool {
        self.lines.iter().any(|line| line.keeps)
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let (keeps, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut parts: Vec<String> = Vec::new();
        for part in pattern.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part.to_owned()),
            }
        }
        (!parts.is_empty()).then_some(Self { keeps, parts })
    }
}

/// Whether the whole path fits.
fn fits(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            // At the end it needs something to stand for.
            let from = usize::from(rest.is_empty());
            (from..=path.len()).any(|skipped| fits(rest, &path[skipped..]))
        }
        (Some((first, rest)), Some((part, path))) => {
            let (first, part): (Vec<char>, Vec<char>) =
                (first.chars().collect(), part.chars().collect());
            one(&first, &part) && fits(rest, path)
        }
        _ => false,
    }
}

/// Whether one part of a path fits: `*`, `?`, `[a-z]`, `\x`.
fn one(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|at| one(rest, &text[at..])),
        ['?', rest @ ..] => !text.is_empty() && one(rest, &text[1..]),
        ['[', rest @ ..] if rest.contains(&']') && !text.is_empty() => {
            let end = rest.iter().position(|c| *c == ']').unwrap_or_default();
            in_class(&rest[..end], text[0]) && one(&rest[end + 1..], &text[1..])
        }
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && one(rest, &text[1..]),
    }
}

fn in_class(class: &[char], c: char) -> bool {
    let (class, not) = match class {
        ['^', rest @ ..] => (rest, true),
        class => (class, false),
    };
    let mut found = false;
    let mut at = 0;
    while at < class.len() {
        let range = class.get(at + 1) == Some(&'-') && at + 2 < class.len();
        let last = if range { class[at + 2] } else { class[at] };
        found |= (class[at]..=last).contains(&c);
        at += if range { 3 } else { 1 };
    }
    found != not
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str, path: &str) -> bool {
        Ignored::parse(text).leaves_out(Path::new(path))
    }

    #[test]
    fn patterns_start_at_the_folder_and_take_along_what_is_below() {
        assert!(out("target\n", "target/debug/x") && !out("target\n", "sub/target"));
        assert!(out("/a/./b/\n", "a/b/c") && !out("a/b\n", "a/c"));
        assert!(out("**/node_modules", "a/b/node_modules/c") && out("**/x", "x"));
        assert!(out("a/**", "a/b/c") && !out("a/**", "a"));
        assert!(out("*.md", "README.md") && !out("*.md", "docs/x.md"));
        assert!(out("**/*.t?t", "a/b.txt") && out("[a-c]*.[^h]", "b1.c") && !out("[a-c]", "d"));
        assert!(!out("# a\n\n", "a") && out("  b  ", "b"));
    }

    #[test]
    fn the_last_line_wins() {
        let text = "*\n!src\nsrc/secret\n";
        assert!(out(text, "a") && !out(text, "src/lib.rs") && out(text, "src/secret/key"));
        assert!(Ignored::parse(text).has_exceptions() && !Ignored::parse("a").has_exceptions());
    }
}
