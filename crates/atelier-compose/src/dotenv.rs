//! Files of variables (`.env`, `env_file`), as Compose reads them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{ComposeError, Result};
use crate::interpolate::{Lookup, interpolate};

/// The variables of a file, added to those of the files before it. A variable that `outer` has
/// wins where the file's own values refer to it.
pub(crate) fn read(
    path: &Path,
    known: &mut BTreeMap<String, String>,
    outer: Lookup<'_>,
) -> Result<()> {
    let bytes = crate::text::read(path).map_err(|e| ComposeError::io("read", path, e))?;
    let at = |line: usize, message: String| ComposeError::Invalid {
        file: Some(path.to_owned()),
        line: Some(line as u64),
        column: None,
        message,
    };
    let text = String::from_utf8(bytes).map_err(|_| at(1, "it is not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}');
    Reader { text, at: 0 }
        .all(known, outer)
        .map_err(|(offset, message)| at(1 + text[..offset].matches('\n').count(), message))
}

type Wrong = (usize, String);

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn all(mut self, known: &mut BTreeMap<String, String>, outer: Lookup<'_>) -> Result<(), Wrong> {
        while self.skip_to_key() {
            let start = self.at;
            let (name, given) = self.name()?;
            if !given {
                if let Some(value) = outer(&name) {
                    known.insert(name, value);
                }
                continue;
            }
            let lookup = |n: &str| outer(n).or_else(|| known.get(n).cloned());
            let value = self.value(&lookup).map_err(|message| (start, message))?;
            known.insert(name, value);
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Past blank lines and comments. False at the end.
    fn skip_to_key(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// The name, and whether a value follows; without, the outer variable is meant.
    fn name(&mut self) -> Result<(String, bool), Wrong> {
        let blank = |c: char| c.is_whitespace() && c != '\n';
        if let Some(behind) = self.rest().strip_prefix("export")
            && behind.starts_with(char::is_whitespace)
        {
            let behind = behind.trim_start_matches(blank).len();
            self.at = self.text.len() - behind;
        }
        let start = self.at;
        let good = |c: char| c.is_alphanumeric() || "_.-[]".contains(c) || blank(c);
        let length = self.rest().find(|c| !good(c)).unwrap_or(self.rest().len());
        let name = self.rest()[..length].trim_end().to_owned();
        let end = self.rest()[length..].chars().next();
        self.at += length + end.map_or(0, char::len_utf8);
        if name.contains(char::is_whitespace) {
            return Err((start, format!("the variable name `{name}` contains a space")));
        }
        match end {
            Some('=' | ':') => {
                let rest = self.rest();
                self.at += rest.len() - rest.trim_start_matches(blank).len();
                Ok((name, true))
            }
            Some('\n') => Ok((name, false)),
            // Compose reads a last line without an end as nothing.
            None => Ok((String::new(), false)),
            Some(c) => Err((start, format!("unexpected `{c}` in a variable name"))),
        }
    }

    fn value(&mut self, lookup: Lookup<'_>) -> Result<String, String> {
        let rest = self.rest();
        match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let (value, used) = quoted(&rest[1..], quote)
                    .ok_or_else(|| format!("the value has no closing {quote}"))?;
                self.at += used + 1;
                if quote == '\'' { Ok(value) } else { interpolate(&escapes(&value), lookup) }
            }
            _ => {
                let line = rest.split('\n').next().unwrap_or_default();
                let value = line.split(" #").next().unwrap_or_default().trim_end();
                let value = interpolate(value, lookup);
                self.at += line.len();
                value
            }
        }
    }
}

/// What stands before the closing quote, and how many bytes that took with the quote.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return Some((value, at + 1));
        }
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        if std::mem::take(&mut escaped) && c != quote {
            value.push('\\');
        }
        value.push(c);
    }
    None
}

/// Escapes between double quotes. What is none stays as it is.
fn escapes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (new, used) = match rest.chars().next() {
            Some('$') => ("$$".to_owned(), 1),
            Some('n') => ("\n".to_owned(), 1),
            Some('r') => ("\r".to_owned(), 1),
            Some('t') => ("\t".to_owned(), 1),
            Some('a') => ("\u{7}".to_owned(), 1),
            Some('b') => ("\u{8}".to_owned(), 1),
            Some('f') => ("\u{c}".to_owned(), 1),
            Some('v') => ("\u{b}".to_owned(), 1),
            Some('\\') => ("\\".to_owned(), 1),
            Some('"') => ("\"".to_owned(), 1),
            _ => ("\\".to_owned(), 0),
        };
        out.push_str(&new);
        rest = &rest[used..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Result<BTreeMap<String, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        let mut known = BTreeMap::new();
        read(&path, &mut known, &|n| (n == "OUTER").then(|| "o".to_owned()))?;
        Ok(known)
    }

    #[test]
    fn values_are_read_with_quotes_comments_and_references() {
        let text = "# first\nA=1 # why\nexport B = two words \nC='$A #'\nD=\"$A\\n\\$A\"\nE: ${B}\n\
                    OUTER\nNONE\nF=\nG=\"a\nb\"\nH=x#y\nI=$OUTER\n";
        let known = variables(text).unwrap();
        for (name, value) in [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A #"),
            ("D", "1\n$A"),
            ("E", "two words"),
            ("OUTER", "o"),
            ("F", ""),
            ("G", "a\nb"),
            ("H", "x#y"),
            ("I", "o"),
        ] {
            assert_eq!(known.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!known.contains_key("NONE"));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, line) in [("A=1\n\nB!=2\n", 3), ("A=1\nB=\"x\n", 2), ("A=${B\n", 1)] {
            let Err(ComposeError::Invalid { line: Some(at), .. }) = variables(text) else {
                panic!("{text:?} was read");
            };
            assert_eq!(at, line, "{text:?}");
        }
    }
}
