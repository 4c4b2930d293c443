//! Durations and sizes, read and written as Compose does; words of a shell.

/// Units of a duration with their nanoseconds, the longest first.
const UNITS: [(&str, u64); 8] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];
const SECOND: u64 = 1_000_000_000;

/// A duration such as `1m30s` or `1.5s`, in nanoseconds. None: it is none.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (whole, part) = rest[..end].split_once('.').unwrap_or((&rest[..end], ""));
        rest = &rest[end..];
        let (unit, size) = UNITS.into_iter().rfind(|(unit, _)| {
            let after = rest.strip_prefix(unit);
            after.is_some_and(|r| {
                r.is_empty() || r.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            })
        })?;
        total = total.checked_add(amount(whole, part, size)?)?;
        rest = &rest[unit.len()..];
    }
    i64::try_from(total).ok().map(|_| total)
}

/// `whole.part` of a unit.
fn amount(whole: &str, part: &str, size: u64) -> Option<u64> {
    if whole.is_empty() && part.is_empty() || part.len() > 9 {
        return None;
    }
    let number =
        |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok() };
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let fraction = u128::from(number(part)?) * u128::from(size) / u128::from(scale);
    number(whole)?.checked_mul(size)?.checked_add(u64::try_from(fraction).ok()?)
}

/// Nanoseconds as Compose writes them: `1m30s`, `200ms`.
pub(crate) fn written(nanoseconds: u64) -> String {
    if nanoseconds > 0 && nanoseconds < SECOND {
        let units = [("ms", 1_000_000), ("µs", 1_000), ("ns", 1)];
        let (unit, size) =
            units.into_iter().find(|(_, size)| nanoseconds >= *size).unwrap_or(("ns", 1));
        return format!("{}{unit}", decimal(nanoseconds, size));
    }
    let seconds = decimal(nanoseconds % (60 * SECOND), SECOND);
    let minutes = nanoseconds / SECOND / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, m) => format!("{m}m{seconds}s"),
        (h, m) => format!("{h}h{m}m{seconds}s"),
    }
}

/// A number of units without zeros at its end.
fn decimal(amount: u64, size: u64) -> String {
    let (whole, rest) = (amount / size, amount % size);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = size.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0digits$}").trim_end_matches('0'))
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
        for (text, back) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("10s", "10s"),
            ("0s", "0s"),
            ("200ms", "200ms"),
            ("1.5s", "1.5s"),
            ("1500us", "1.5ms"),
            (".5m1ns", "30.000000001s"),
            ("90m0.25s", "1h30m0.25s"),
        ] {
            assert_eq!(duration(text).map(written).as_deref(), Some(back));
        }
        for text in ["", "10", "s", "1x", ".s", "-1s", "1m 30s"] {
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
