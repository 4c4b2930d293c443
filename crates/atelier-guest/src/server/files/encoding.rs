//! `Accept-Encoding` (RFC 9110, section 12.5.3): gzip or nothing.

/// How a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// What a caller wants most of what there is; None when they want neither.
pub(super) fn choose(accept: &str, identity_only: bool) -> Option<Encoding> {
    let wanted: Vec<(String, f32)> =
        accept.split(',').filter(|part| !part.trim().is_empty()).map(weigh).collect();
    let weight = |name: &str| wanted.iter().find(|(known, _)| known == name).map(|(_, q)| *q);
    let any = weight("*");
    // Nothing said is permission for identity only.
    let identity = weight("identity").or(any.filter(|q| *q == 0.0)).unwrap_or(0.001);
    let gzip = if identity_only { 0.0 } else { weight("gzip").unwrap_or(0.0) };
    if gzip > 0.0 && gzip >= identity {
        return Some(Encoding::Gzip);
    }
    if identity > 0.0 {
        return Some(Encoding::Identity);
    }
    (!identity_only && any.is_some_and(|q| q > 0.0)).then_some(Encoding::Gzip)
}

fn weigh(part: &str) -> (String, f32) {
    let mut parameters = part.split(';').map(str::trim);
    let name = parameters.next().unwrap_or("").to_ascii_lowercase();
    let weight = parameters
        .find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")))
        .and_then(|q| q.parse().ok());
    (name, weight.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Gzip, Identity};
    use super::choose;

    #[test]
    fn gzip_is_sent_only_to_those_who_ask_for_it() {
        for (accept, expected) in [
            ("", Some(Identity)),
            ("gzip", Some(Gzip)),
            ("gzip, deflate, br", Some(Gzip)),
            ("deflate", Some(Identity)),
            ("*", Some(Identity)),
            ("gzip;q=0.2, identity;q=0.9", Some(Identity)),
            ("gzip;q=0, identity", Some(Identity)),
            ("identity;q=0, gzip", Some(Gzip)),
            ("identity;q=0", None),
            ("*;q=0", None),
        ] {
            assert_eq!(choose(accept, false), expected, "{accept}");
        }
        assert_eq!(choose("gzip", true), Some(Identity));
        assert_eq!(choose("gzip, identity;q=0", true), None);
    }
}
