//! `Range` (RFC 9110, section 14): one stretch of bytes.

/// What a range asks for of a file of some size.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range that we serve: all of it.
    All,
    /// From, and how many.
    Part(u64, u64),
    /// Nothing that the file has.
    Nothing,
}

/// Reads a `Range` header. Several ranges at once are answered with everything, as is allowed.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(range) = header.and_then(|it| it.strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    let (from, to) = match (first.trim().parse::<u64>(), last.trim()) {
        (Err(_), last) if first.trim().is_empty() => {
            let Ok(length) = last.parse::<u64>() else { return Wanted::All };
            if length == 0 {
                return Wanted::Nothing;
            }
            (size.saturating_sub(length), size)
        }
        (Ok(from), "") => (from, size),
        (Ok(from), last) => match last.parse::<u64>() {
            Ok(last) if last >= from => (from, last.saturating_add(1).min(size)),
            _ => return Wanted::All,
        },
        (Err(_), _) => return Wanted::All,
    };
    if from >= size { Wanted::Nothing } else { Wanted::Part(from, to - from) }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, wanted};

    #[test]
    fn one_range_is_served() {
        for (header, expected) in [
            ("bytes=0-3", Wanted::Part(0, 4)),
            ("bytes=4-", Wanted::Part(4, 6)),
            ("bytes=-3", Wanted::Part(7, 3)),
            ("bytes=-30", Wanted::Part(0, 10)),
            ("bytes=8-99", Wanted::Part(8, 2)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=5-2", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        assert_eq!(wanted(None, 10), Wanted::All);
    }
}
