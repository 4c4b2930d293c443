//! The host name that a request is for. Two names in one request, or none, is nobody's request.

use hyper::Uri;
use hyper::header::{HOST, HeaderMap};
use hyper::http::request::Parts;

use crate::upstream::Refusal;

/// A host name with what stood beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Lower case, no port, no dot at the end.
    pub name: String,
    /// The port, when there was one.
    pub port: Option<u16>,
    /// As the client wrote it.
    pub raw: String,
}

/// The host of a request, from `:authority`, the absolute target or `Host`.
pub(crate) fn of(parts: &Parts) -> Result<Host, Refusal> {
    let header = header(&parts.headers)?;
    let raw = match (authority(&parts.uri), header) {
        (Some(target), Some(header)) if !target.eq_ignore_ascii_case(header) => {
            return Err(bad("the request names two hosts"));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Err(bad("the request names no host")),
    };
    parse(raw).ok_or_else(|| bad("the host name is not valid"))
}

fn authority(uri: &Uri) -> Option<&str> {
    uri.authority().map(hyper::http::uri::Authority::as_str)
}

fn header(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut all = headers.get_all(HOST).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(bad("the request has two Host headers"));
    }
    first.to_str().map(Some).map_err(|_| bad("the host name is not valid"))
}

fn parse(raw: &str) -> Option<Host> {
    let (name, port) = split(raw)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let bracketed = name.starts_with('[') && name.ends_with(']');
    let valid = if bracketed {
        name[1..name.len() - 1].parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !name.is_empty()
            && name.len() <= 253
            && name.split('.').all(|label| !label.is_empty() && label.bytes().all(in_name))
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    valid.then(|| Host { name: name.to_ascii_lowercase(), port, raw: raw.to_owned() })
}

fn split(raw: &str) -> Option<(&str, Option<&str>)> {
    if raw.starts_with('[') {
        let end = raw.find(']')?;
        let (name, rest) = raw.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Some((name, Some(port))),
            None => rest.is_empty().then_some((name, None)),
        };
    }
    Some(raw.split_once(':').map_or((raw, None), |(name, port)| (name, Some(port))))
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn bad(why: &str) -> Refusal {
    Refusal::text(hyper::StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn host(uri: &str, hosts: &[&str]) -> Result<Host, String> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        of(&request.body(()).unwrap().into_parts().0)
            .map_err(|refusal| String::from_utf8_lossy(&refusal.body).trim().to_owned())
    }

    #[test]
    fn a_name_loses_its_port_its_case_and_a_dot_at_its_end() {
        let found = host("/", &["8000-Fix.Shop.LOCALHOST.:4780"]).unwrap();
        assert_eq!(found.name, "8000-fix.shop.localhost");
        assert_eq!(found.port, Some(4780));
        assert_eq!(found.raw, "8000-Fix.Shop.LOCALHOST.:4780");
        assert_eq!(host("/", &["[::1]:80"]).unwrap().name, "[::1]");
        assert_eq!(host("/", &["127.0.0.1"]).unwrap().port, None);
    }

    #[test]
    fn the_target_of_the_request_must_agree_with_the_header() {
        assert_eq!(host("http://a.test/x", &["A.test"]).unwrap().name, "a.test");
        assert_eq!(host("http://a.test/x", &[]).unwrap().name, "a.test");
        assert_eq!(
            host("http://a.test/x", &["b.test"]).unwrap_err(),
            "the request names two hosts"
        );
        assert_eq!(
            host("/", &["a.test", "a.test"]).unwrap_err(),
            "the request has two Host headers"
        );
        assert_eq!(host("/", &[]).unwrap_err(), "the request names no host");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for bad in [
            "", ":80", "a b", "a/b", "u@a", "a:b", "a:99999", "a:1:2", "a..b", ".a", "a,b", "[::1",
            "[x]", "[::1]x", "a\\b", "a?b", "a#b", "a%2eb",
        ] {
            assert_eq!(host("/", &[bad]).unwrap_err(), "the host name is not valid", "{bad}");
        }
    }
}
