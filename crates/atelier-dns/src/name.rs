//! Names as text: which ones may be published, and what they are compared by. No wire format.

use crate::error::{Error, Result};

/// The longest name in text form: 255 bytes in a message, less the length bytes at both ends.
const LONGEST_NAME: usize = 253;
/// The longest label (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

/// A name to publish, in lower case without a final dot. A first label `*` is let through.
pub(crate) fn checked(given: &str) -> Result<String> {
    let name = plain(given)?;
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    check_labels(given, rest)?;
    Ok(name)
}

/// The suffix of a zone, in lower case without dots at its ends: `.test` and `test.` are `test`.
pub(crate) fn suffix(given: &str) -> Result<String> {
    let name = plain(given.strip_prefix('.').unwrap_or(given))?;
    check_labels(given, &name)?;
    Ok(name)
}

fn plain(given: &str) -> Result<String> {
    let name = given.strip_suffix('.').unwrap_or(given).to_ascii_lowercase();
    if name.len() > LONGEST_NAME {
        return Err(invalid(given, "it is longer than 253 characters"));
    }
    Ok(name)
}

/// Letters, digits and hyphens; underscores too, because services and Compose projects have them.
fn check_labels(given: &str, name: &str) -> Result<()> {
    for label in name.split('.') {
        if label.is_empty() {
            return Err(invalid(given, "a part between dots is empty"));
        }
        if label.len() > LONGEST_LABEL {
            return Err(invalid(given, "a part is longer than 63 characters"));
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(invalid(given, "only letters, digits, `-` and `_` may be in a part"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(invalid(given, "a part may not begin or end with `-`"));
        }
    }
    Ok(())
}

fn invalid(name: &str, why: &'static str) -> Error {
    Error::Name { name: name.to_owned(), why }
}

/// What is above a name. `None` at the top.
pub(crate) fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, rest)| rest)
}

/// Whether `name` is `suffix` or below it.
pub(crate) fn is_within(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_lower_case_without_final_dot() {
        assert_eq!(checked("API.Agent-1.test.").unwrap(), "api.agent-1.test");
        assert_eq!(checked("*.agent-1.test").unwrap(), "*.agent-1.test");
        assert_eq!(suffix(".test.").unwrap(), "test");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let long = format!("{}.test", "a".repeat(64));
        let longest = format!("{}test", "a.".repeat(126));
        for bad in ["", "a..test", "a b.test", "-a.test", "a.*.test", "ä.test", &long, &longest] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_suffix_ends_at_a_dot() {
        assert!(is_within("api.test", "test"));
        assert!(is_within("test", "test"));
        assert!(!is_within("mytest", "test"));
    }
}
