//! The name of an installed tool. Checked here, once, before it ever becomes part of a path.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ToolsError;

/// `[a-z][a-z0-9]*(-[a-z0-9]+)*`, 2 to 64 characters: a file name, and a name that every agent accepts.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug that is made of a name for people: `Piper TTS` is `piper-tts`.
    ///
    /// # Errors
    /// [`ToolsError::Slug`] when nothing of it remains.
    pub fn made_of(name: &str) -> Result<Self, ToolsError> {
        let words = name.to_ascii_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
        let joined = words.collect::<Vec<_>>().join("-");
        let start = joined.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        let cut: String = start.chars().take(64).collect();
        cut.trim_end_matches('-').parse().map_err(|_| ToolsError::Slug(name.to_owned()))
    }
}

fn valid(text: &str) -> bool {
    let word =
        |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (2..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(word)
}

impl FromStr for Slug {
    type Err = ToolsError;

    fn from_str(text: &str) -> Result<Self, ToolsError> {
        match valid(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(ToolsError::Slug(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Slug {
    type Error = ToolsError;

    fn try_from(text: String) -> Result<Self, ToolsError> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_a_path_is_no_slug() {
        for bad in
            ["", "a", "..", "../x", "a/b", "/etc", "A-b", "a--b", "-a", "a-", "1a", "a.b", "a b"]
        {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(65).parse::<Slug>().is_err());
        assert_eq!("git-local2".parse::<Slug>().unwrap().as_str(), "git-local2");
    }

    #[test]
    fn a_name_for_people_becomes_a_slug() {
        assert_eq!(Slug::made_of("Piper TTS").unwrap().as_str(), "piper-tts");
        assert_eq!(Slug::made_of("42: The  Answer!").unwrap().as_str(), "the-answer");
        assert!(Slug::made_of("../..").is_err());
    }
}
