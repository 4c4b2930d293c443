//! Variables that a client sends.

use std::collections::BTreeMap;

/// The most variables of a session, and the longest of them.
const MOST: usize = 256;
const LONGEST: usize = 32 << 10;

/// What the login itself decides.
const DECIDED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "SSH_CONNECTION"];

/// Takes a variable if it may be set: who logs in may run anything inside, so only what would
/// break the login is refused.
pub(crate) fn accept(into: &mut BTreeMap<String, String>, name: &str, value: &str) -> bool {
    let fits = into.len() < MOST && name.len() + value.len() <= LONGEST;
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = name.starts_with(is_first)
        && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
        && !value.contains('\0');
    let free = !DECIDED.contains(&name) && !name.starts_with("LD_");
    let accepted = fits && is_name && free;
    if accepted {
        into.insert(name.to_owned(), value.to_owned());
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sets_what_does_not_break_its_login() {
        let mut env = BTreeMap::new();
        for (name, accepted) in [
            ("LANG", true),
            ("LC_ALL", true),
            ("GIT_PROTOCOL", true),
            ("PATH", false),
            ("LD_PRELOAD", false),
            ("A B", false),
            ("1A", false),
            ("", false),
        ] {
            assert_eq!(accept(&mut env, name, "x"), accepted, "{name}");
        }
        assert!(!accept(&mut env, "A", "\0"));
        assert!(!accept(&mut env, "A", &"x".repeat(LONGEST)));
        assert_eq!(env.len(), 3);
    }
}
