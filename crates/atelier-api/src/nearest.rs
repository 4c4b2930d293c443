//! "Did you mean": the known word that somebody probably meant, for a problem's hints.

/// How alike two words must be (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.75;

/// The word of `known` that is most like this one, if it is much like it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = known.into_iter().map(|k| (strsim::jaro_winkler(word, k), k));
    let best = ranked.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let known = ["memory", "processes", "network"];
        assert_eq!(nearest("memroy", known), Some("memory"));
        assert_eq!(nearest("networks", known), Some("network"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("memory", []), None);
    }
}
