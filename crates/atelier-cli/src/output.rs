//! What stands on the terminal: colours, tables, ages, sizes, questions.

use std::io::{self, BufRead, IsTerminal, Write};

use atelier_config::{env_vars, units};
use jiff::Timestamp;
use serde::Serialize;

use crate::failure::Failure;

/// Writes text to standard output.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    Ok(out.flush()?)
}

/// Writes a value as JSON to standard output.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    print(text)
}

/// A line for the user, beside the output.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "atelier: {text}");
}

/// Asks a question that is answered by yes or no. Without a terminal nobody can answer, which is
/// wrong usage: `--yes` answers in advance.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage(format!(
            "there is no terminal to ask \"{question}\"; add --yes to agree in advance"
        )));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Colours, where they are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self(io::stdout().is_terminal() && wanted())
    }
    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self(io::stderr().is_terminal() && wanted())
    }
    /// None.
    pub(crate) const fn plain() -> Self {
        Self(false)
    }
    /// All, for tests.
    #[cfg(test)]
    pub(crate) const fn always() -> Self {
        Self(true)
    }
    fn paint(self, code: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(1, text)
    }
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(2, text)
    }
    pub(crate) fn red(self, text: &str) -> String {
        self.paint(31, text)
    }
    pub(crate) fn green(self, text: &str) -> String {
        self.paint(32, text)
    }
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint(33, text)
    }
    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint(36, text)
    }
    /// Whether there are any.
    pub(crate) const fn is_on(self) -> bool {
        self.0
    }
}

fn wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    !set(env_vars::NO_COLOR) && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Rows under a head, in columns as wide as what stands in them.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let clean: Vec<[String; N]> = rows.iter().map(|r| r.each_ref().map(|c| visible(c))).collect();
    let mut widths = head.map(str::len);
    for row in &clean {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(&head, &widths);
    for row in &clean {
        text.push_str(&line(&row.each_ref().map(String::as_str), &widths));
    }
    text
}

fn line<const N: usize>(cells: &[&str; N], widths: &[usize; N]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    let text = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", text.trim_end())
}

/// Text without control characters, which could do things to a terminal.
pub(crate) fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            let escaped = if c.is_control() { c.escape_default().to_string() } else { c.into() };
            escaped.chars().collect::<Vec<_>>()
        })
        .collect()
}

/// How long ago something was, in its largest unit.
pub(crate) fn age(since: Timestamp) -> String {
    unit(Timestamp::now().duration_since(since).as_secs())
}

/// How long it is from `now` until something, in its largest unit.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    unit(then.duration_since(now).as_secs())
}

fn unit(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    units::format_size(bytes)
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "running".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "STATE"], &rows), "NAME    STATE\na       running\nlonger\n");
    }

    #[test]
    fn a_cell_cannot_break_the_terminal() {
        let rows = [["a\n\x1b[2J".to_owned()]];
        assert_eq!(table(["X"], &rows), "X\na\\n\\u{1b}[2J\n");
    }

    #[test]
    fn ages_have_one_unit() {
        let ago = |s| age(Timestamp::now() - jiff::SignedDuration::from_secs(s));
        assert_eq!((ago(5).as_str(), ago(61).as_str()), ("5s", "1m"));
        assert_eq!((ago(7200).as_str(), ago(200_000).as_str()), ("2h", "2d"));
        assert_eq!(ago(-100), "0s");
    }

    #[test]
    fn colours_are_off_when_nobody_sees_them() {
        assert_eq!(Paint::plain().red("x"), "x");
        assert_eq!(Paint::always().red("x"), "\x1b[31mx\x1b[0m");
    }
}
