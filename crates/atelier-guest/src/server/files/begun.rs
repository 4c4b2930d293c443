//! A file of which the beginning has been read, before anything is said of it: what is written over just
//! then has another length than it had, and what cannot be read is refused. Once an answer has begun,
//! all that is left is to break it off; and before its head is out, not even a status would arrive.

use std::io::{self, Cursor, Read};

use bytes::Bytes;

use super::super::file_body::{FileBody, silent_at_end};
use super::super::reply::Reply;

/// Bytes that are read before the answer begins. As many as are buffered for a client: whatever
/// comes after them is read when the head of the answer is on its way.
const FIRST: u64 = 64 << 10;

/// What a file begins with, and the rest of it.
pub(super) struct Begun<F> {
    first: Vec<u8>,
    rest: F,
}

impl<F: Read + 'static> Begun<F> {
    /// Reads the beginning of a file whose length nobody knows.
    pub(super) fn unsized_file(mut file: F) -> io::Result<Self> {
        let mut first = vec![0; usize::try_from(FIRST).unwrap_or_default()];
        let read = silent_at_end(file.read(&mut first))?;
        first.truncate(read);
        Ok(Self { first, rest: file })
    }

    /// Reads the beginning of a file that has `length` bytes to give, and says how many it has now.
    pub(super) fn sized(mut file: F, length: u64) -> io::Result<(Self, u64)> {
        let want = length.min(FIRST);
        let mut first = Vec::with_capacity(usize::try_from(want).unwrap_or_default());
        silent_at_end((&mut file).take(want).read_to_end(&mut first))?;
        let read = first.len() as u64;
        let length = if read < want { read } else { length };
        Ok((Self { first, rest: file }, length))
    }

    /// As the body of an answer: that many bytes, or all there are.
    pub(super) fn reply(self, length: Option<u64>) -> Reply {
        if length == Some(self.first.len() as u64) {
            return Reply::Whole(Bytes::from(self.first));
        }
        Reply::File(FileBody::new(Box::new(self.into_reader()), length))
    }

    /// All of it.
    pub(super) fn into_reader(self) -> impl Read + 'static {
        Cursor::new(self.first).chain(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: usize) -> Cursor<Vec<u8>> {
        Cursor::new(vec![7; bytes])
    }

    #[test]
    fn a_file_that_was_cut_short_since_has_the_length_it_has_now() {
        for (had, has) in [(13, 0), (13, 5), (1 << 20, 0), (1 << 20, 100)] {
            let (begun, length) = Begun::sized(file(has), had).unwrap();
            assert_eq!(length, has as u64);
            assert!(matches!(begun.reply(Some(length)), Reply::Whole(bytes) if bytes.len() == has));
        }
    }

    #[test]
    fn a_file_that_grew_since_is_sent_as_long_as_it_was() {
        for (had, has) in [(13, 20), (1 << 20, 2 << 20)] {
            let (begun, length) = Begun::sized(file(has), had).unwrap();
            assert_eq!(length, had);
            let sent = match begun.reply(Some(length)) {
                Reply::Whole(bytes) => bytes.len(),
                Reply::File(mut body) => {
                    std::iter::from_fn(|| body.next().unwrap()).map(|block| block.len()).sum()
                }
                Reply::Stream(_) => unreachable!("it is a file"),
            };
            assert_eq!(sent as u64, had);
        }
    }
}
