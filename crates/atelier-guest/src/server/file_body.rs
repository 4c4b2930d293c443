//! What a file holds, as the body of a response: read in large blocks whose memory is used again, since
//! fresh memory costs more than the copying.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a file that are read at once.
const BLOCK: usize = 512 << 10;

/// A file, or the part of it that was asked for.
pub(super) struct FileBody {
    file: Box<dyn Read>,
    /// As many bytes as were promised; else all there are.
    left: Option<u64>,
    spare: Spare,
}

/// Blocks that were sent. There are as many as are on their way at the same time.
type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// A block that comes back when it was sent.
struct Block {
    bytes: Vec<u8>,
    length: usize,
    home: Spare,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

impl FileBody {
    pub(super) fn new(file: Box<dyn Read>, left: Option<u64>) -> Self {
        Self { file, left, spare: Spare::default() }
    }

    /// How many bytes are still to come, where that was promised.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// The next bytes; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let want =
            self.left.map_or(BLOCK, |left| usize::try_from(left).unwrap_or(BLOCK).min(BLOCK));
        if want == 0 {
            return Ok(None);
        }
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = spare.unwrap_or_default();
        if bytes.len() < want {
            bytes.resize(want, 0);
        }
        let length = silent_at_end(self.file.read(bytes.get_mut(..want).unwrap_or_default()))?;
        if let Some(left) = &mut self.left {
            if length == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
            }
            *left -= length as u64;
        }
        let block = Block { bytes, length, home: self.spare.clone() };
        Ok((length > 0).then(|| Bytes::from_owner(block)))
    }
}

/// A device that has nothing to say now is at its end.
pub(super) fn silent_at_end(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_used_again_and_nothing_is_lost() {
        let content: Vec<u8> = (0..5 * BLOCK + 7).map(|n| (n % 251) as u8).collect();
        let mut body = FileBody::new(Box::new(io::Cursor::new(content.clone())), None);
        let (mut read, mut places) = (Vec::new(), Vec::new());
        while let Some(block) = body.next().unwrap() {
            places.push(block.as_ptr());
            read.extend_from_slice(&block);
        }
        assert!(read == content);
        places.dedup();
        assert_eq!(places.len(), 1, "one block is on its way at a time");
    }

    #[test]
    fn no_more_than_what_was_promised_is_sent_and_less_is_an_error() {
        let body = |left| FileBody::new(Box::new(io::Cursor::new(b"abcdef".to_vec())), Some(left));
        let mut part = body(4);
        assert_eq!(part.next().unwrap().unwrap(), "abcd");
        assert!(part.next().unwrap().is_none());
        let mut cut = body(9);
        assert_eq!(cut.next().unwrap().unwrap(), "abcdef");
        assert_eq!(cut.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
