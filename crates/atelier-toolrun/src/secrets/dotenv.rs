//! ATK's `.env` files, read as ATK reads them: by the rules of python-dotenv, quotes, escapes,
//! comments, `export` and `${NAME:-default}` included.

use std::collections::BTreeMap;

/// The variables of a `.env` file. `around` is the environment that `${NAME}` falls back to. Lines that
/// python-dotenv does not understand are skipped, as it skips them; names without `=` have no value.
pub fn parse(text: &str, around: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0 };
    let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
    while reader.has_next() {
        let begin = reader.at;
        match reader.binding() {
            Some(Some((key, value))) => {
                let value = value.map(|value| {
                    // The file's own come before the environment's.
                    let look = |name: &str| match found.get(name) {
                        Some(own) => own.clone(),
                        None => around(name),
                    };
                    interpolate(&value, look)
                });
                found.insert(key, value);
            }
            Some(None) => {}
            None => reader.skip_line(begin),
        }
    }
    found.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

type Binding = Option<(String, Option<String>)>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn has_next(&self) -> bool {
        self.at < self.text.len()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes over what `part` takes, and returns it.
    fn run(&mut self, part: impl Fn(char) -> bool) -> &str {
        let begin = self.at;
        self.at += self.rest().find(|c| !part(c)).unwrap_or(self.rest().len());
        &self.text[begin..self.at]
    }

    /// The rest of a line that is not understood.
    fn skip_line(&mut self, begin: usize) {
        self.at = self.at.max(begin);
        self.run(|c| c != '\n' && c != '\r');
        self.line_break();
    }

    fn line_break(&mut self) -> bool {
        let rest = self.rest();
        let length = match rest {
            _ if rest.starts_with("\r\n") => 2,
            _ if rest.starts_with(['\n', '\r']) => 1,
            _ => 0,
        };
        self.at += length;
        length > 0
    }

    /// One line; `None` where it is not understood, and nothing within where it binds nothing.
    fn binding(&mut self) -> Option<Binding> {
        self.run(char::is_whitespace);
        if !self.has_next() {
            return Some(None);
        }
        self.export();
        let key = self.key()?;
        self.run(is_blank);
        let value = match self.peek() {
            Some('=') => {
                self.at += 1;
                let blanks = !self.run(is_blank).is_empty();
                match self.peek() {
                    // `NAME= # comment`
                    Some('#') if blanks => Some(String::new()),
                    _ => Some(self.value()?),
                }
            }
            _ => None,
        };
        self.end_of_line()?;
        Some(key.map(|key| (key, value)))
    }

    fn export(&mut self) {
        let Some(after) = self.rest().strip_prefix("export") else { return };
        let blank = after.len() - after.trim_start_matches(is_blank).len();
        if blank > 0 {
            self.at += "export".len() + blank;
        }
    }

    /// The name; nothing within at a comment.
    fn key(&mut self) -> Option<Option<String>> {
        match self.peek() {
            Some('#') => Some(None),
            Some('\'') => {
                self.at += 1;
                let key = self.run(|c| c != '\'').to_owned();
                let closed = self.peek() == Some('\'') && !key.is_empty();
                self.at += usize::from(closed);
                closed.then_some(Some(key))
            }
            _ => {
                let key = self.run(|c| c != '=' && c != '#' && !c.is_whitespace()).to_owned();
                (!key.is_empty()).then_some(Some(key))
            }
        }
    }

    fn value(&mut self) -> Option<String> {
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            None | Some('\n' | '\r') => Some(String::new()),
            _ => Some(unquoted(self.run(|c| c != '\n' && c != '\r'))),
        }
    }

    /// Up to the next quote that no backslash stands before.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let body = &self.text[self.at + 1..];
        let mut escaped = false;
        let end = body.char_indices().find_map(|(at, c)| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at)
        })?;
        let value = unescape(&body[..end], quote);
        self.at += end + 2;
        Some(value)
    }

    /// A comment, blanks, and the end.
    fn end_of_line(&mut self) -> Option<()> {
        self.run(is_blank);
        if self.peek() == Some('#') {
            self.run(|c| c != '\n' && c != '\r');
        }
        (self.line_break() || !self.has_next()).then_some(())
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n' && c != '\r'
}

/// Up to a comment that has a blank before it.
fn unquoted(text: &str) -> String {
    let comment = text
        .char_indices()
        .zip(text.chars().skip(1))
        .find_map(|((at, c), next)| (c.is_whitespace() && next == '#').then_some(at));
    text[..comment.unwrap_or(text.len())].trim_end().to_owned()
}

fn unescape(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = match (c, chars.peek()) {
            ('\\', Some(next)) => match (quote, next) {
                (_, '\\' | '\'') => Some(*next),
                ('"', '"') => Some('"'),
                ('"', 'a') => Some('\u{7}'),
                ('"', 'b') => Some('\u{8}'),
                ('"', 'f') => Some('\u{c}'),
                ('"', 'n') => Some('\n'),
                ('"', 'r') => Some('\r'),
                ('"', 't') => Some('\t'),
                ('"', 'v') => Some('\u{b}'),
                _ => None,
            },
            _ => None,
        };
        match meant {
            Some(meant) => {
                out.push(meant);
                chars.next();
            }
            None => out.push(c),
        }
    }
    out
}

/// `${NAME}` and `${NAME:-default}`; `$NAME` is text.
fn interpolate(text: &str, look: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        let variable = body.find('}').and_then(|end| {
            let inner = &body[..end];
            let (name, default) = match inner.split_once(':') {
                None => (inner, ""),
                Some((name, tail)) => (name, tail.strip_prefix('-')?),
            };
            Some((look(name).unwrap_or_else(|| default.to_owned()), end))
        });
        match variable {
            Some((value, end)) => {
                out.push_str(&value);
                rest = &body[end + 1..];
            }
            None => {
                out.push_str("${");
                rest = body;
            }
        }
    }
    out.push_str(rest);
    out
}
