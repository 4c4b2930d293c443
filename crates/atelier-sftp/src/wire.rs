//! How messages look: length, kind, fields. Nothing here knows what they mean.

use std::io::{self, Read};

/// The longest message, as in OpenSSH.
pub(crate) const LONGEST: usize = 256 << 10;
/// The most file bytes that are read or written at once: the message's other fields fit beside.
pub(crate) const LONGEST_DATA: usize = LONGEST - 1024;

/// Kinds of messages from a client.
pub(crate) mod request {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const EXTENDED: u8 = 200;
}

/// Kinds of messages from a server.
pub(crate) mod reply {
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 201;
}

/// What a status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

/// Reads one message into `into`; false at the end of the input.
pub(crate) fn read_message(input: &mut impl Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0u8; 4];
    match input.read(&mut length)? {
        0 => return Ok(false),
        read => input.read_exact(&mut length[read..])?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > LONGEST {
        let why = format!("a message of {length} bytes is no SFTP");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    into.clear();
    into.resize(length, 0);
    input.read_exact(into)?;
    Ok(true)
}

/// Takes fields out of a message.
pub(crate) struct Fields<'a>(&'a [u8]);

/// A message that ends before its fields do.
#[derive(Debug)]
pub(crate) struct Short;

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Short> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Short> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Short)?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// A message that is being written.
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    /// The answer to a request.
    pub(crate) fn to(kind: u8, id: u32) -> Self {
        Self::new(kind).u32(id)
    }

    pub(crate) fn status(id: u32, status: Status, text: &str) -> Self {
        Self::to(reply::STATUS, id).u32(status as u32).bytes(text.as_bytes()).bytes(b"en")
    }

    pub(crate) fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The whole, with its length in front.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let sent = Message::to(reply::HANDLE, 7).bytes(b"abc").u64(9).finish();
        let mut message = Vec::new();
        assert!(read_message(&mut sent.as_slice(), &mut message).unwrap());
        let mut fields = Fields::of(&message[1..]);
        assert_eq!(fields.u32().unwrap(), 7);
        assert_eq!(fields.bytes().unwrap(), b"abc");
        assert_eq!(fields.u64().unwrap(), 9);
        assert!(fields.u32().is_err());
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert!(
            read_message(&mut [0xff, 0xff, 0xff, 0xff, 1].as_slice(), &mut Vec::new()).is_err()
        );
        assert!(read_message(&mut [0, 0, 0, 9, 1].as_slice(), &mut Vec::new()).is_err());
        assert!(Fields::of(&[0, 0, 0, 9, 1]).bytes().is_err());
    }
}
