//! The host that a connection's first words name: the server name of TLS (RFC 8446 section 4.1.2, RFC
//! 6066 section 3), or the `Host` of an HTTP/1 request (RFC 9112 section 3.2).

/// What is read at most until a host must have been named.
const MOST: usize = 64 * 1024;
/// The longest method that is taken for one; the longest registered has 17 characters.
const LONGEST_METHOD: usize = 20;

/// What the first words are. The host is in lower case, without port and final dot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Words {
    Tls(Option<String>),
    Http(Option<String>),
    Other,
}

/// Reads the first bytes; none when more must be seen.
pub(super) fn read(bytes: &[u8]) -> Option<Words> {
    let words = match bytes.first()? {
        // A record of type handshake.
        0x16 => tls(bytes),
        first if is_token(*first) => http(bytes),
        _ => Some(Words::Other),
    };
    words.or_else(|| (bytes.len() >= MOST).then_some(Words::Other))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn http(bytes: &[u8]) -> Option<Words> {
    let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
    match bytes.get(method) {
        Some(b' ') if method <= LONGEST_METHOD => {}
        None if method <= LONGEST_METHOD => return None,
        _ => return Some(Words::Other),
    }
    let mut rest = bytes;
    let mut first = true;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (rest.get(..end)?, rest.get(end + 1..)?);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // HTTP/2 without TLS begins like this, and names its host in a form of its own.
        if std::mem::take(&mut first) && line == b"PRI * HTTP/2.0" {
            return Some(Words::Other);
        }
        if line.is_empty() {
            return Some(Words::Http(None));
        }
        if let Some(host) = value_of(line, b"host") {
            return Some(Words::Http(host_of(host)));
        }
        rest = after;
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (own, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// A host as rules write it. An address is none.
fn host_of(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(allowed)).then_some(host)
}

fn tls(bytes: &[u8]) -> Option<Words> {
    // A greeting may come in several records, each with a header of five bytes.
    let mut greeting = Vec::new();
    let mut rest = bytes;
    loop {
        let [kind, major, _, high, low] = *rest.first_chunk::<5>()?;
        if (kind, major) != (0x16, 3) {
            return Some(Words::Other);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let record = rest.get(5..)?;
        greeting.extend_from_slice(record.get(..length.min(record.len()))?);
        if let Some(words) = hello(&greeting) {
            return Some(words);
        }
        rest = record.get(length..)?;
    }
}

/// A greeting of TLS; none when it is not whole.
fn hello(bytes: &[u8]) -> Option<Words> {
    let [kind, high, middle, low] = *bytes.first_chunk::<4>()?;
    if kind != 1 {
        return Some(Words::Other);
    }
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
    let body = bytes.get(4..)?.get(..length)?;
    Some(Words::Tls(server_name(body)))
}

fn server_name(body: &[u8]) -> Option<String> {
    // Version and random.
    let mut body = Fields(body.get(34..)?);
    body.short()?;
    body.long()?;
    body.short()?;
    let mut extensions = Fields(body.long()?);
    loop {
        let kind = extensions.number()?;
        let content = extensions.long()?;
        if kind == 0 {
            let mut names = Fields(Fields(content).long()?);
            let [0] = *names.take(1)? else { return None };
            return host_of(names.long()?);
        }
    }
}

/// Fields with their length before them.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.take(2)?;
        Some(usize::from(u16::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// One whose length has one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.take(1)?.first()?);
        self.take(length)
    }

    /// One whose length has two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> Option<Words> {
        read(text.as_bytes())
    }

    fn named(host: &str) -> Option<Words> {
        Some(Words::Http(Some(host.to_owned())))
    }

    #[test]
    fn a_request_names_its_host() {
        assert_eq!(http("GET / HTTP/1.1\r\nHost: API.Test.:8080\r\n"), named("api.test"));
        assert_eq!(http("POST /x HTTP/1.1\r\nA: b\r\nhost:a.test\r\n"), named("a.test"));
        assert_eq!(http("GET / HTTP/1.0\r\n\r\n"), Some(Words::Http(None)));
        assert_eq!(http("GET / HTTP/1.1\r\nHost: [::1]:80\r\n"), Some(Words::Http(None)));
    }

    #[test]
    fn half_of_a_request_is_waited_for_and_anything_else_is_not() {
        for half in ["G", "GET", "GET /", "GET / HTTP/1.1\r\nHost: a.te"] {
            assert_eq!(http(half), None, "{half}");
        }
        for other in ["SSH-2.0-OpenSSH\r\n", "\x00\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            assert_eq!(http(other), Some(Words::Other), "{other}");
        }
        assert_eq!(http(&format!("GET /{}", "x".repeat(MOST))), Some(Words::Other));
    }

    /// A greeting as clients send it, with a name or without.
    fn greeting(name: Option<&str>) -> Vec<u8> {
        let long = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let mut extensions = [&[0, 43][..], &long(&[2, 3, 4])].concat();
        if let Some(name) = name {
            let list = long(&[&[0][..], &long(name.as_bytes())].concat());
            extensions.extend([&[0, 0][..], &long(&list)].concat());
        }
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[32],
            &[9; 32],
            &long(&[0x13, 1]),
            &[1, 0],
            &long(&extensions),
        ]
        .concat();
        [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat()
    }

    fn records(greeting: &[u8], size: usize) -> Vec<u8> {
        let record =
            |part: &[u8]| [&[0x16, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
        greeting.chunks(size).flat_map(record).collect()
    }

    #[test]
    fn a_greeting_names_its_host_however_it_is_cut() {
        let whole = greeting(Some("API.test"));
        let expected = Some(Words::Tls(Some("api.test".to_owned())));
        for size in [1, 7, 40, 4096] {
            let sent = records(&whole, size);
            assert_eq!(read(&sent), expected, "{size}");
            for end in 0..sent.len() {
                assert_eq!(read(&sent[..end]), None, "{size} {end}");
            }
        }
        assert_eq!(read(&records(&greeting(None), 4096)), Some(Words::Tls(None)));
    }

    #[test]
    fn a_broken_greeting_names_nobody() {
        let mut sent = records(&greeting(Some("a.test")), 4096);
        let end = sent.len() - 1;
        sent[end - 8] = 0xff;
        assert_eq!(read(&sent), Some(Words::Tls(None)));
        assert_eq!(read(&[0x16, 2, 0, 0, 1, 1]), Some(Words::Other));
        assert_eq!(read(&[0x16, 3, 1, 0, 4, 2, 0, 0, 0]), Some(Words::Other), "no greeting");
    }
}
