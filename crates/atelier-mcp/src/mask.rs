//! Secrets that must not be in what we show.

use std::sync::Arc;

/// What stands in a secret's place.
const STARS: &str = "***";

/// Shorter values are no secrets, and would mask half of every text.
const SHORTEST: usize = 4;

/// The secrets of a conversation.
#[derive(Clone, Default)]
pub(crate) struct Masks(Arc<[String]>);

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({})", self.0.len())
    }
}

impl Masks {
    /// Of these values, and of each line of them.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| std::iter::once(secret.trim()).chain(secret.lines().map(str::trim)))
            .filter(|secret| secret.len() >= SHORTEST)
            .map(ToOwned::to_owned)
            .collect();
        // The longest first, so that one that holds another goes whole.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(all.into())
    }

    /// The text without them.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, STARS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_within_another_goes_with_it() {
        let masks = Masks::new(["token", "token-and-more", "a\nsecond line\n"]);
        assert_eq!(masks.clean("x token-and-more, token; second line"), "x ***, ***; ***");
    }

    #[test]
    fn nothing_is_a_secret_by_being_empty() {
        assert_eq!(Masks::new(["", "ab"]).clean("about"), "about");
    }
}
