//! Lines of a stream, none longer than allowed.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A stream, read line by line.
pub(crate) struct Lines<R> {
    read: BufReader<R>,
    line: Vec<u8>,
    longest: usize,
    skipping: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end.
    Whole(Vec<u8>),
    /// One that is longer than allowed, and is passed over.
    TooLong,
    /// Nothing more. Half a line before it is none.
    End,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(read: R, longest: usize) -> Self {
        Self { read: BufReader::new(read), line: Vec::new(), longest, skipping: false }
    }

    /// The next line. May be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Line {
        loop {
            let Ok(bytes) = self.read.fill_buf().await else { return Line::End };
            if bytes.is_empty() {
                return Line::End;
            }
            let end = bytes.iter().position(|b| *b == b'\n');
            let take = end.map_or(bytes.len(), |end| end + 1);
            if !self.skipping {
                self.line.extend_from_slice(&bytes[..take]);
            }
            self.read.consume(take);
            if self.line.len() > self.longest {
                self.line = Vec::new();
                // Told at once, since its end may never come.
                self.skipping = end.is_none();
                return Line::TooLong;
            }
            if end.is_some() {
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                let mut line = std::mem::take(&mut self.line);
                while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                    line.pop();
                }
                return Line::Whole(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_too_long_is_passed_over_and_the_next_one_is_whole() {
        let text = format!("{{}}\r\n{}\nnext\nhalf", "x".repeat(100));
        let mut lines = Lines::new(text.as_bytes(), 20);
        assert_eq!(lines.next().await, Line::Whole(b"{}".to_vec()));
        assert_eq!(lines.next().await, Line::TooLong);
        assert_eq!(lines.next().await, Line::Whole(b"next".to_vec()));
        assert_eq!(lines.next().await, Line::End);
    }

    #[tokio::test]
    async fn a_line_without_end_is_told_at_once() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut lines = Lines::new(far, 8);
        tokio::io::AsyncWriteExt::write_all(&mut near, b"xxxxxxxxxxxx").await.unwrap();
        assert_eq!(lines.next().await, Line::TooLong);
    }
}
