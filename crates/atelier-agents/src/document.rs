//! An agent's file as text that can be read and changed, whatever it is written in.

use serde_json::Value;

use crate::json::Json;
use crate::shape::Fields;
use crate::table::Format;
use crate::toml::Toml;

/// A file's content.
pub(crate) enum Document {
    Json(Json),
    Toml(Toml),
}

/// Why a text is not what it should be, and where (both from 1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub line: usize,
    pub column: usize,
    pub why: String,
}

impl Document {
    /// Reads a text; that of a file that is not there, or that is empty, is what a new one begins from.
    pub fn parse(format: Format, key: &'static str, text: &str) -> Result<Self, Flaw> {
        let blank = text.trim().is_empty();
        match format {
            Format::Json(fresh) => {
                let text = if blank { fresh } else { text };
                Json::parse(text, key).map(Self::Json)
            }
            Format::Toml => Toml::parse(text, key).map(Self::Toml),
        }
    }

    /// Whether the text has nothing but what a new file begins from.
    pub fn is_fresh(format: Format, text: &str) -> bool {
        let begins = match format {
            Format::Json(fresh) => fresh,
            Format::Toml => "",
        };
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        bare(text) == bare(begins)
    }

    /// The servers' names.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Json(json) => json.names(),
            Self::Toml(toml) => toml.names(),
        }
    }

    /// What stands there for a server.
    pub fn entry(&self, server: &str) -> Option<Value> {
        match self {
            Self::Json(json) => json.entry(server),
            Self::Toml(toml) => toml.entry(server),
        }
    }

    /// Writes an entry. Of an existing one the `managed` fields are made to be `fields`, others stay.
    pub fn put(&mut self, server: &str, fields: &Fields, managed: &[&str]) {
        match self {
            Self::Json(json) => json.put(server, fields, managed),
            Self::Toml(toml) => toml.put(server, fields, managed),
        }
    }

    /// Takes an entry away.
    pub fn take(&mut self, server: &str) {
        match self {
            Self::Json(json) => json.take(server),
            Self::Toml(toml) => toml.take(server),
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        match self {
            Self::Json(json) => json.text(),
            Self::Toml(toml) => toml.text(),
        }
    }
}

impl Flaw {
    /// One at a byte of the text.
    pub fn at(text: &str, byte: usize, why: &str) -> Self {
        let before = text.get(..byte).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, why: why.to_owned() }
    }

    /// One at the beginning.
    pub fn at_start(why: &str) -> Self {
        Self { line: 1, column: 1, why: why.to_owned() }
    }

    /// One at the first place where a word stands.
    pub fn new(text: &str, word: &str, why: &str) -> Self {
        Self::at(text, text.find(word).unwrap_or_default(), &format!("{word}: {why}"))
    }

    /// A key that is there twice.
    pub fn twice(key: &str) -> Self {
        Self::at_start(&format!("{key:?} is there twice"))
    }

    /// The same at the last place where the quoted word of it stands.
    pub fn seek(self, text: &str) -> Self {
        let word = self.why.split(" is there").next().unwrap_or_default().to_owned();
        Self::at(text, text.rfind(&word).unwrap_or_default(), &self.why)
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "document_properties.rs"]
mod properties;
