//! Connect's envelopes: one byte of flags, four of length (big-endian), the message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::{Code, ConnectError};

/// The flag of the last envelope of a response stream.
pub const END_STREAM: u8 = 0b10;
/// Bytes before each message.
const HEADER: usize = 5;
/// The longest message that is accepted, in bytes.
const LONGEST: usize = 16 << 20;

/// One message out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Connect's flags.
    pub flags: u8,
    /// The message.
    pub message: Bytes,
}

/// A message with its envelope.
#[must_use]
pub fn encode(flags: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER + message.len());
    frame.put_u8(flags);
    // A longer message than u32 can say is refused long before it gets here.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// A value as JSON with its envelope.
///
/// # Errors
/// When the value has no JSON form, such as a map whose keys are not text.
pub fn json_frame<T: Serialize>(value: &T) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(value).map(|json| encode(0, &json))
}

/// The last envelope of a response stream, with the error that ended it if one did.
#[must_use]
pub fn end_frame(error: Option<&ConnectError>) -> Bytes {
    let message = match error {
        None => b"{}".to_vec(),
        Some(error) => serde_json::to_vec(&serde_json::json!({ "error": error }))
            .unwrap_or_else(|_| b"{\"error\":{\"code\":\"internal\"}}".to_vec()),
    };
    encode(END_STREAM, &message)
}

/// Takes messages out of a stream that arrives in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole message.
    ///
    /// # Errors
    /// When a message is longer than 16 MiB, or is compressed: nothing that speaks this protocol
    /// with us compresses.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ConnectError> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let flags = header[0];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > LONGEST {
            let why = format!("a message of {length} bytes is longer than {LONGEST}");
            return Err(ConnectError::new(Code::ResourceExhausted, why));
        }
        if flags & 1 != 0 {
            return Err(ConnectError::new(Code::Unimplemented, "messages must not be compressed"));
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(Frame { flags, message: self.buffer.split_to(length).freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_arrives_byte_by_byte_is_read_whole() {
        let mut decoder = Decoder::default();
        let sent = encode(0, b"hello");
        for (index, byte) in sent.iter().enumerate() {
            decoder.push(&[*byte]);
            let frame = decoder.next_frame().unwrap();
            assert_eq!(frame.is_some(), index + 1 == sent.len());
        }
        assert!(!decoder.is_partial());
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_buffered() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next_frame().unwrap_err().code, Code::ResourceExhausted);
    }

    #[test]
    fn an_error_travels_in_the_last_envelope() {
        let frame = end_frame(Some(&ConnectError::new(Code::NotFound, "no such process")));
        assert_eq!(frame[0], END_STREAM);
        let text = std::str::from_utf8(&frame[5..]).unwrap();
        assert_eq!(text, r#"{"error":{"code":"not_found","message":"no such process"}}"#);
    }
}
