//! Counts words of standard input, the most frequent first.

use std::collections::HashMap;
use std::io::Read;

fn count(text: &str) -> Vec<(String, usize)> {
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    for (word, times) in count(&text) {
        println!("{times:7} {word}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_word_comes_first() {
        let counts = count("The cat, the dog; THE end.");
        assert_eq!(counts[0], ("the".to_owned(), 3));
        assert_eq!(counts.len(), 4);
    }

    #[test]
    fn no_text_has_no_words() {
        assert!(count(" ,.\n").is_empty());
    }
}
