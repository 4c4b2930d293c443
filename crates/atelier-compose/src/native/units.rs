//! Durations and sizes, read and written as Compose does; words of a shell.

/// A duration such as `1m30s`, in nanoseconds. None: it is none.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|d| *d > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, size) = [
            ("ns", 1),
            ("us", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ]
        .into_iter()
        .find(|(unit, _)| {
            rest.strip_prefix(unit)
                .is_some_and(|r| r.is_empty() || r.starts_with(|c: char| c.is_ascii_digit()))
        })?;
        total = total.checked_add(number.checked_mul(size)?)?;
        rest = &rest[unit.len()..];
    }
    i64::try_from(total).ok().map(|_| total)
}

/// Nanoseconds as Compose writes them: `1m30s`. None for fractions of a second, which it writes
/// in more ways than one.
pub(crate) fn written(nanoseconds: u64) -> Option<String> {
    if !nanoseconds.is_multiple_of(1_000_000_000) {
        return None;
    }
    let seconds = nanoseconds / 1_000_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, m) => format!("{m}m{s}s"),
        (h, m) => format!("{h}h{m}m{s}s"),
    })
}

/// A size such as `64m`, in bytes. None: it is none, or one that people write seldom.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor: u64 = match text[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// The words of a command line. None: it has something that only a shell understands.
pub(crate) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => return None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, ';' | '&' | '|' | '<' | '>' | '`' | '(' | ')') => return None,
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (quote.is_none() && !text.contains("$(") && !text.contains('`')).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_written() {
        for (text, back) in [("90s", "1m30s"), ("1h", "1h0m0s"), ("10s", "10s"), ("0s", "0s")] {
            assert_eq!(duration(text).and_then(written).as_deref(), Some(back));
        }
        for text in ["", "10", "s", "1x", "1.5s", "-1s", "1m 30s"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(
            (bytes("64m"), bytes("1Gb"), bytes("5")),
            (Some(64 << 20), Some(1 << 30), Some(5))
        );
        assert_eq!((bytes("m"), bytes("1.5g"), bytes("99999999999999g")), (None, None, None));
    }

    #[test]
    fn words_are_split_and_shell_is_refused() {
        let of = |text| words(text).map(|w| w.join("|"));
        assert_eq!(of("a 'b c' \"d e\"f ''").as_deref(), Some("a|b c|d ef|"));
        for text in ["a && b", "a > b", "a 'b", "echo `x`", "a\\ b", "$(x)"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
