//! The one name of a tool: of its folder, of its entry in every agent, of it in every command.

use std::fmt;
use std::str::FromStr;

use atelier_api::{ExitCode, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lower-case words of letters and digits with single hyphens between, the first a letter; 2 to 64
/// characters. So it is a safe name of a file, and a valid key in every agent's settings.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// A text that is no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a tool: lower-case letters and digits with single hyphens between, a letter first, 2 to 64 characters"
)]
pub struct BadSlug(String);

impl Fault for BadSlug {
    fn code(&self) -> &'static str {
        "tool.name"
    }
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }
    fn hints(&self) -> Vec<String> {
        vec!["`atelier tool ls` lists the names".to_owned()]
    }
}

impl Slug {
    /// The slug that a name for people makes, as ATK makes it: lower-case, blanks and underscores
    /// as hyphens, everything else left out, an `a` before a digit.
    ///
    /// # Errors
    /// When nothing of it remains, or too much.
    pub fn of_name(name: &str) -> Result<Self, BadSlug> {
        let mut slug = String::new();
        for c in name.trim().to_lowercase().chars() {
            match c {
                'a'..='z' | '0'..='9' => slug.push(c),
                ' ' | '_' | '-' if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
                _ => {}
            }
        }
        let slug = slug.trim_end_matches('-');
        let slug = match slug.as_bytes().first() {
            Some(b'0'..=b'9') => format!("a{slug}"),
            _ => slug.to_owned(),
        };
        slug.parse().map_err(|_| BadSlug(name.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = BadSlug;

    fn from_str(text: &str) -> Result<Self, BadSlug> {
        let word = |w: &str| {
            !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let fits = (2..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.split('-').all(word);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadSlug(text.to_owned())) }
    }
}

impl TryFrom<String> for Slug {
    type Error = BadSlug;

    fn try_from(text: String) -> Result<Self, BadSlug> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
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
    fn a_name_for_people_makes_a_slug() {
        for (name, slug) in [
            ("Piper TTS", "piper-tts"),
            ("  My_Tool -- 2 ", "my-tool-2"),
            ("3D Viewer", "a3d-viewer"),
            ("Größe!", "gre"),
            ("../../etc", "etc"),
        ] {
            assert_eq!(Slug::of_name(name).unwrap().as_str(), slug, "{name}");
        }
        for bad in ["", "   ", "!", "x", "ü"] {
            assert!(Slug::of_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_path_is_a_slug() {
        for bad in ["..", "a/b", "/etc", "a", "a--b", "-a", "a-", "A1", "a b", "a\0b", "."] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
        assert!("a".repeat(65).parse::<Slug>().is_err());
        assert!("git-local".parse::<Slug>().is_ok());
    }
}
