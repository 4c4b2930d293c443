//! `multipart/form-data` (RFC 7578), as it arrives in pieces of any size.

use std::io;

/// What is told of a body.
pub(super) trait Parts {
    /// A part begins: its form name, and the file name that it says.
    fn begin(&mut self, name: &str, file: Option<&str>) -> io::Result<()>;
    /// Bytes of that part.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// That part is over.
    fn end(&mut self) -> io::Result<()>;
}

/// The longest headers of a part, in bytes.
const LONGEST_HEADERS: usize = 16 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    AfterDelimiter,
    Headers,
    Data,
    Done,
}

/// Takes a body apart.
pub(super) struct Parser {
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    state: State,
}

impl Parser {
    /// For the boundary that a content type names.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let boundary = parameter(content_type, "boundary").filter(|it| !it.is_empty())?;
        Some(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter has no line before it.
            buffer: b"\r\n".to_vec(),
            state: State::Preamble,
        })
    }

    /// Takes in what arrived.
    pub(super) fn push(&mut self, bytes: &[u8], parts: &mut dyn Parts) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        while self.step(parts)? {}
        Ok(())
    }

    /// Whether the body ended as it should.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Says whether there may be more to do with what is there.
    fn step(&mut self, parts: &mut dyn Parts) -> io::Result<bool> {
        match self.state {
            State::Preamble => Ok(self.until_delimiter(|_| Ok(()))?),
            State::Data => {
                let found = self.until_delimiter(|bytes| parts.data(bytes))?;
                if found {
                    parts.end()?;
                }
                Ok(found)
            }
            State::AfterDelimiter => self.after_delimiter(),
            State::Headers => self.headers(parts),
            State::Done => {
                self.buffer.clear();
                Ok(false)
            }
        }
    }

    /// Hands over what is before the delimiter; keeps what may be the beginning of one.
    fn until_delimiter(
        &mut self,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        let (end, skip, found) = match find(&self.buffer, &self.delimiter) {
            Some(at) => (at, at + self.delimiter.len(), true),
            None => {
                let safe = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
                (safe, safe, false)
            }
        };
        if end > 0 {
            take(&self.buffer[..end])?;
        }
        self.buffer.drain(..skip);
        if found {
            self.state = State::AfterDelimiter;
        }
        Ok(found)
    }

    fn after_delimiter(&mut self) -> io::Result<bool> {
        // Spaces may follow a delimiter.
        let blank = self.buffer.iter().take_while(|byte| b" \t".contains(byte)).count();
        let Some(next) = self.buffer.get(blank..blank + 2) else { return Ok(false) };
        self.state = match next {
            b"--" => State::Done,
            b"\r\n" => State::Headers,
            _ => return Err(malformed("a boundary is followed by something else")),
        };
        // The end of this line is also the beginning of headers that are empty.
        self.buffer.drain(..blank);
        Ok(true)
    }

    fn headers(&mut self, parts: &mut dyn Parts) -> io::Result<bool> {
        let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
            let long = self.buffer.len() > LONGEST_HEADERS;
            return if long { Err(malformed("a part's headers are too long")) } else { Ok(false) };
        };
        let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let disposition = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("content-disposition"))
            .map_or("", |(_, value)| value);
        let file = parameter(disposition, "filename*")
            .and_then(|value| Some(super::super::router::decode(value.splitn(3, '\'').nth(2)?)))
            .or_else(|| parameter(disposition, "filename"));
        parts.begin(&parameter(disposition, "name").unwrap_or_default(), file.as_deref())?;
        self.state = State::Data;
        Ok(true)
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the form is malformed: {why}"))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == what[0]) {
        if bytes[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// A parameter of a header such as `form-data; name="file"; filename="a \"b\".txt"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, left) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), left)
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = left.trim_start().trim_start_matches(';');
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            // Only a quote or a backslash is escaped; any other backslash is part of a name.
            '\\' if characters.peek().is_some_and(|(_, it)| matches!(it, '"' | '\\')) => {
                value.extend(characters.next().map(|(_, escaped)| escaped));
            }
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(String, Option<String>, Vec<u8>, bool)>);

    impl Parts for Seen {
        fn begin(&mut self, name: &str, file: Option<&str>) -> io::Result<()> {
            self.0.push((name.into(), file.map(Into::into), Vec::new(), false));
            Ok(())
        }
        fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.last_mut().unwrap().2.extend_from_slice(bytes);
            Ok(())
        }
        fn end(&mut self) -> io::Result<()> {
            self.0.last_mut().unwrap().3 = true;
            Ok(())
        }
    }

    const BODY: &[u8] =
        b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/a/b \\\"c\\\"\"\r\n\
        Content-Type: text/plain\r\n\r\none\r\n--X\r\ntwo\r\n--XX\r\n\
        content-disposition: form-data; name=empty\r\n\r\n\r\n--XX--\r\n";

    fn parse(pieces: usize) -> Seen {
        let mut parser = Parser::new("multipart/form-data; boundary=\"XX\"").unwrap();
        let mut seen = Seen::default();
        for piece in BODY.chunks(pieces) {
            parser.push(piece, &mut seen).unwrap();
        }
        assert!(parser.is_done());
        seen
    }

    #[test]
    fn a_form_is_read_the_same_whatever_pieces_it_comes_in() {
        for pieces in [1, 2, 3, 7, 1000] {
            let parts = parse(pieces).0;
            assert_eq!(parts.len(), 2);
            assert_eq!(parts[0].1.as_deref(), Some("/a/b \"c\""));
            assert_eq!(parts[0].2, b"one\r\n--X\r\ntwo");
            assert_eq!(parts[1], ("empty".into(), None, Vec::new(), true));
        }
    }

    #[test]
    fn a_form_that_stops_in_the_middle_is_not_done() {
        let mut parser = Parser::new("multipart/form-data; boundary=XX").unwrap();
        parser.push(&BODY[..60], &mut Seen::default()).unwrap();
        assert!(!parser.is_done());
        assert!(Parser::new("multipart/form-data").is_none());
    }
}
