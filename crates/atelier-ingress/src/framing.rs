//! Reads along on a client's HTTP/1.1 connection: sees requests that give their length in two ways,
//! which the parser would mend in silence, and heads that do not end. It changes no byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pulse::Pulse;

/// As much of a line as decides anything: the name of a header and a number.
const REMEMBERED: usize = 64;

/// A connection that is watched.
pub(crate) struct Watched<S> {
    inner: S,
    pulse: Arc<Pulse>,
    scan: Scan,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S, pulse: Arc<Pulse>) -> Self {
        pulse.head_begins();
        Self { inner, pulse, scan: Scan::default() }
    }

    fn saw(&mut self, bytes: &[u8]) {
        if matches!(self.scan.at, At::Lost) || self.pulse.is_blind() {
            return;
        }
        self.scan.read(bytes);
        if self.scan.ambiguous {
            self.pulse.set_ambiguous();
        }
        if self.scan.in_head() {
            self.pulse.head_begins();
        } else {
            self.pulse.head_ends();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.saw(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// Where in the requests the bytes are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Not to be followed any further: the parser refuses such a request by itself.
    Lost,
}

#[derive(Debug, Default)]
struct Scan {
    at: At,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Whether a line of the current head has been read.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    ambiguous: bool,
}

impl Scan {
    fn in_head(&self) -> bool {
        self.at == At::Head && (self.begun || !self.line.is_empty())
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.at {
                At::Lost => return,
                At::Body(left) => self.skip(bytes, left, At::Body, At::Head),
                At::Chunk(left) => self.skip(bytes, left, At::Chunk, At::ChunkEnd),
                At::Head | At::ChunkSize | At::ChunkEnd | At::Trailers => self.line_of(bytes),
            };
        }
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, more: fn(u64) -> At, then: At) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - here as u64;
        self.at = if left == 0 { then } else { more(left) };
        &bytes[here..]
    }

    fn line_of<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.remember(bytes);
            return &[];
        };
        if self.line.is_empty() {
            self.line(&bytes[..end]);
        } else {
            self.remember(&bytes[..end]);
            let line = std::mem::take(&mut self.line);
            self.line(&line);
        }
        &bytes[end + 1..]
    }

    fn remember(&mut self, bytes: &[u8]) {
        let room = REMEMBERED.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.at {
            At::Head if !line.is_empty() => self.header(line),
            At::Head if self.begun => self.head_ends(),
            At::ChunkSize => self.at = chunk(line),
            At::ChunkEnd if line.is_empty() => self.at = At::ChunkSize,
            At::ChunkEnd => self.at = At::Lost,
            At::Trailers if line.is_empty() => self.at = At::Head,
            _ => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        self.begun = true;
        if let Some(value) = value_of(line, b"content-length:") {
            match std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()) {
                Some(length) => self.length = Some(length),
                None => self.at = At::Lost,
            }
        } else if value_of(line, b"transfer-encoding:").is_some() {
            self.chunked = true;
        }
    }

    fn head_ends(&mut self) {
        self.begun = false;
        let length = self.length.take();
        let chunked = std::mem::take(&mut self.chunked);
        self.at = match (length, chunked) {
            (Some(_), true) => {
                self.ambiguous = true;
                At::Lost
            }
            (None, true) => At::ChunkSize,
            (Some(0) | None, false) => At::Head,
            (Some(length), false) => At::Body(length),
        };
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

fn chunk(line: &[u8]) -> At {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    match std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok()) {
        Some(0) => At::Trailers,
        Some(size) => At::Chunk(size),
        None => At::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, step: usize) -> Scan {
        let mut scan = Scan::default();
        for part in text.as_bytes().chunks(step) {
            scan.read(part);
        }
        scan
    }

    const BOTH: &str =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn a_length_given_twice_is_seen_in_either_order_and_in_any_pieces() {
        let other = "POST / HTTP/1.1\r\nTRANSFER-encoding:chunked\r\ncontent-LENGTH:4\r\n\r\n";
        for step in 1..BOTH.len() {
            assert!(after(BOTH, step).ambiguous, "{step}");
            assert!(after(other, step).ambiguous, "{step}");
        }
    }

    #[test]
    fn it_is_seen_behind_bodies_of_any_kind() {
        let bodies = [
            "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\na\r\n\r\nbcdefg",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nab\r\nc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
        ];
        for body in bodies {
            for step in [1, 2, 3, 7, 1000] {
                let alone = after(body, step);
                assert!(!alone.ambiguous, "{body}");
                assert_eq!(alone.at, At::Head, "{body} {step}");
                assert!(!alone.in_head(), "{body}");
                assert!(after(&format!("{body}{BOTH}"), step).ambiguous, "{body} {step}");
            }
        }
    }

    #[test]
    fn both_words_inside_a_body_mean_nothing() {
        let text = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{BOTH}", BOTH.len());
        assert!(!after(&text, 5).ambiguous);
    }

    #[test]
    fn a_head_is_open_until_its_empty_line() {
        assert!(!after("", 1).in_head());
        assert!(after("G", 1).in_head());
        assert!(after("GET / HTTP/1.1\r\nA: b\r\n", 4).in_head());
        assert!(!after("GET / HTTP/1.1\r\nA: b\r\n\r\n", 4).in_head());
    }
}
