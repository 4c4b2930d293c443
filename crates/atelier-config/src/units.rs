//! Sizes and durations as people write them.

use std::time::Duration;

/// Text that is no size, duration or count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUnit(String);

const SIZES: [(&str, u64); 5] =
    [("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40), ("p", 1 << 50)];

/// Bytes from text such as `512m`, `1.5GiB` or `1048576`. Letters count in powers of 1024, with
/// or without the `i`, as container engines read them.
///
/// # Errors
/// [`BadUnit`] that shows how a size is written.
pub fn parse_size(text: &str) -> Result<u64, BadUnit> {
    let bad = || BadUnit(format!("{text:?} is not a size; write bytes, or 512MiB, 2GiB, 1.5g"));
    let lower = text.trim().to_ascii_lowercase();
    let (number, unit) = split(&lower);
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let factor = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(u, _)| *u == unit).ok_or_else(bad)?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).filter(|n| *n > 0).ok_or_else(bad);
    }
    let value = number.parse::<f64>().map_err(|_| bad())? * factor as f64;
    // 2^63 keeps clear of what a float cannot hold exactly; no machine has more.
    let sane = value.is_finite() && (1.0..9.2e18).contains(&value);
    if sane { Ok(value as u64) } else { Err(bad()) }
}

/// A size for people, such as `1.5 GiB`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    match SIZES.iter().rev().find(|(_, factor)| bytes >= *factor) {
        None => format!("{bytes} B"),
        Some((unit, factor)) => {
            let value = bytes as f64 / *factor as f64;
            let text = format!("{value:.1}");
            let text = text.strip_suffix(".0").unwrap_or(&text);
            format!("{text} {}iB", unit.to_ascii_uppercase())
        }
    }
}

/// A time from text such as `30m`, `1h30m`, `90s` or `500ms`.
///
/// # Errors
/// [`BadUnit`] that shows how a time is written.
pub fn parse_duration(text: &str) -> Result<Duration, BadUnit> {
    let bad = || BadUnit(format!("{text:?} is not a time; write 90s, 30m, 1h30m or 2d"));
    let lower = text.trim().to_ascii_lowercase();
    let mut rest = lower.as_str();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = split(rest);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(end);
        let count: u64 = number.parse().map_err(|_| bad())?;
        let millis = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        let part = count.checked_mul(millis).ok_or_else(bad)?;
        total = total.checked_add(Duration::from_millis(part)).ok_or_else(bad)?;
        rest = after;
    }
    if total.is_zero() { Err(bad()) } else { Ok(total) }
}

/// A time for people, such as `1h30m`; parts that are zero are left out.
#[must_use]
pub fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let mut parts = vec![
        (seconds / 86400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(time.subsec_millis()), "ms"),
    ];
    parts.retain(|(n, _)| *n > 0);
    let text: String = parts.iter().map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".into() } else { text }
}

/// Cores from text such as `1.5`.
///
/// # Errors
/// [`BadUnit`] for anything but a positive number.
pub fn parse_cpus(text: &str) -> Result<f64, BadUnit> {
    text.trim()
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite() && *n > 0.0)
        .ok_or_else(|| BadUnit(format!("{text:?} is not a number of cores; write 2 or 1.5")))
}

/// A positive count.
///
/// # Errors
/// [`BadUnit`] for anything else.
pub fn parse_count(text: &str) -> Result<u64, BadUnit> {
    text.trim()
        .parse::<u64>()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| BadUnit(format!("{text:?} is not a positive whole number")))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("512m", 512 << 20),
            ("512MB", 512 << 20),
            ("2 GiB", 2 << 30),
            ("1.5g", 3 << 29),
            ("10k", 10240),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "g", "-1g", "1x", "1e3", "1..5g", "99999999999t", "1 g b"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "0s", "30", "m", "1.5h", "1y", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        for bytes in [1, 1024, 512 << 20, 3 << 29] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        for millis in [1, 90_000, 5_400_000, 172_800_500] {
            let time = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(time)), Ok(time));
        }
    }
}
