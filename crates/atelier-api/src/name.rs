//! Names of environments: DNS labels (RFC 1123), because they become part of host names.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExitCode, Fault};

/// The longest DNS label, in bytes (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;

/// A valid name: 1 to 63 of `a-z`, `0-9` and `-`, with no hyphen at either end.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
pub struct Name(String);

/// A name that is no DNS label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {given:?} is not valid: {why}")]
pub struct BadName {
    given: String,
    why: &'static str,
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest valid name to any text: lower case, other characters to hyphens, cut at 63.
    /// `None` when nothing usable is left.
    #[must_use]
    pub fn slug(text: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            let c = if c.is_ascii_alphanumeric() { c } else { '-' };
            if !(c == '-' && (slug.is_empty() || slug.ends_with('-'))) {
                slug.push(c);
            }
        }
        slug.truncate(MAX_LABEL);
        slug.trim_end_matches('-').parse().ok()
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |why| Err(BadName { given: text.to_owned(), why });
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match text {
            "" => bad("it is empty"),
            t if t.len() > MAX_LABEL => bad("it is longer than 63 characters"),
            t if !t.bytes().all(allowed) => bad("only a-z, 0-9 and '-' may stand in it"),
            t if t.starts_with('-') || t.ends_with('-') => bad("it may not begin or end with '-'"),
            t => Ok(Self(t.to_owned())),
        }
    }
}

impl Fault for BadName {
    fn code(&self) -> &'static str {
        "name.invalid"
    }
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }
    fn hints(&self) -> Vec<String> {
        Name::slug(&self.given).map(|n| format!("try {n}")).into_iter().collect()
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_a_name() {
        for good in ["a", "fix-login", "0", "a1-b2", &"x".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_suggestion() {
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "../x", "é", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        let error = "Fix Login!".parse::<Name>().unwrap_err();
        assert_eq!(error.hints(), ["try fix-login"]);
    }

    #[test]
    fn slugs_are_names() {
        assert_eq!(Name::slug("feature/ABC_1").unwrap().as_str(), "feature-abc-1");
        assert_eq!(Name::slug("///"), None);
    }
}
