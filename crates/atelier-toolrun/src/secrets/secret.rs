//! A text that must not be seen: it has no `Display`, its `Debug` says nothing, and its memory is
//! wiped when it goes. Where the text is needed, [`Secret::expose`] says so in the code.

use std::fmt;

use zeroize::Zeroizing;

/// As many of the last characters as [`Secret::hint`] shows.
const SHOWN: usize = 4;
/// From this length on: four characters of a shorter secret would be too much of it.
const LONG: usize = 16;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself: for an environment, an age file, a request. Never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Enough to recognise it by, for a question that offers to keep it: `••••9f3a`, or only dots where
    /// it is short.
    #[must_use]
    pub fn hint(&self) -> String {
        let count = self.0.chars().count();
        let end: String = match count >= LONG {
            true => self.0.chars().skip(count - SHOWN).filter(|c| !c.is_control()).collect(),
            false => String::new(),
        };
        format!("••••{end}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(••••)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_a_short_secrets_hint_show_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(••••) Some(Secret(••••))");
        assert_eq!(secret.hint(), "••••");
        assert_eq!(Secret::new("ghp_0123456789abcdef").hint(), "••••cdef");
    }
}
