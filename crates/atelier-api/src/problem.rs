//! Failures: what every part's error can say of itself ([`Fault`]), and how it travels
//! ([`Problem`], RFC 9457).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ExitCode;

/// An error that knows its stable code, its exit code, and what to do next.
///
/// Each crate's error enum implements it, so that the server and the CLI need no table of their
/// own. `Display` says what failed and why, in that order; `hints` say what to do next.
pub trait Fault: std::error::Error {
    /// A stable, dotted name that programs may match on, such as `env.not_found`.
    fn code(&self) -> &'static str;
    /// The row of the exit-code table.
    fn exit(&self) -> ExitCode;
    /// What the reader can do next, a sentence each.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// The same as a value that travels. Causes are appended to the detail.
    fn problem(&self) -> Problem
    where
        Self: Sized,
    {
        let mut detail = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !detail.contains(&text) {
                detail.push_str(": ");
                detail.push_str(&text);
            }
            cause = error.source();
        }
        Problem::new(self.code(), self.exit(), detail).with_hints(self.hints())
    }
}

/// Problem details as RFC 9457 draws them, with a stable `code`, the CLI's `exit` code and hints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// A URI reference that names the kind: `urn:atelier:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What failed and why, this time.
    pub detail: String,
    /// A stable, dotted name that programs may match on.
    pub code: String,
    /// The exit code of the CLI for it.
    pub exit: u8,
    /// What to do next, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Problem {
    /// A problem without hints.
    #[must_use]
    pub fn new(code: &str, exit: ExitCode, detail: impl Into<String>) -> Self {
        let title =
            ExitCode::TABLE.iter().find(|(c, _)| *c == exit).map_or("failed", |(_, title)| *title);
        Self {
            kind: format!("urn:atelier:problem:{code}"),
            title: title.to_owned(),
            status: exit.http_status(),
            detail: detail.into(),
            code: code.to_owned(),
            exit: exit.code(),
            hints: Vec::new(),
        }
    }

    /// The same with hints.
    #[must_use]
    pub fn with_hints(mut self, hints: Vec<String>) -> Self {
        self.hints = hints;
        self
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The row of the exit-code table.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl<F: Fault> From<F> for Problem {
    fn from(fault: F) -> Self {
        fault.problem()
    }
}
