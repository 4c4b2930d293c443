//! Times as text: `500ms`, `10s`, `5m`, `1h`.

use std::time::Duration;

use serde::Serializer;

/// The time that a text says, or none.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    match span.subsec_millis() {
        0 => to.serialize_str(&format!("{}s", span.as_secs())),
        _ => to.serialize_str(&format!("{}ms", span.as_millis())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("5m"), Some(Duration::from_secs(300)));
        for bad in ["", "5", "s", "-1s", "1d", "99999999999999999999s", "9999999999999999999h"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
