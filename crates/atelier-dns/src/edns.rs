//! The one record of EDNS (RFC 6891, 6.1) in questions and replies. By hand, because simple-dns has
//! its version and its flags at the wrong places: it takes "DNSSEC, please" for version 128.

/// The length of a message's header.
pub(crate) const HEADER: usize = 12;
/// The type of the record.
const OPT: u16 = 41;
/// The flag by which the asker wants signatures; it comes back as it was (RFC 3225, 3).
const DNSSEC_OK: u8 = 0x80;
/// The length of our own record: without a name and without options.
pub(crate) const LENGTH: usize = 11;

/// What a question says of its asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// How many bytes it takes by UDP.
    pub(crate) size: u16,
    /// The version that it speaks; there is only 0.
    pub(crate) version: u8,
    dnssec_ok: bool,
}

/// A question that breaks the format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Splits a message with one question and nothing in the next two sections: where the question
/// ends, and what the records after it say.
pub(crate) fn split(message: &[u8]) -> Result<(usize, Option<Edns>), Malformed> {
    let count = message.get(10..HEADER).ok_or(Malformed)?;
    let count = u16::from_be_bytes([count[0], count[1]]);
    let end = after_name(message, HEADER)? + 4;
    if end > message.len() {
        return Err(Malformed);
    }
    let (mut at, mut found) = (end, None);
    for _ in 0..count {
        let start = after_name(message, at)?;
        let fixed: [u8; 10] =
            message.get(start..start + 10).and_then(|f| f.try_into().ok()).ok_or(Malformed)?;
        if u16::from_be_bytes([fixed[0], fixed[1]]) == OPT {
            // It is the root's, and there is one of it.
            if found.is_some() || start != at + 1 {
                return Err(Malformed);
            }
            let size = u16::from_be_bytes([fixed[2], fixed[3]]);
            let dnssec_ok = fixed[6] & DNSSEC_OK != 0;
            found = Some(Edns { size, version: fixed[5], dnssec_ok });
        }
        at = start + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if at > message.len() {
            return Err(Malformed);
        }
    }
    Ok((end, found))
}

/// Adds the record to a reply that has no extras yet, with the upper bits of its code.
pub(crate) fn append(reply: &mut Vec<u8>, asker: Edns, size: u16, code: u16) {
    let [high, low] = size.to_be_bytes();
    let upper = (code >> 4) as u8;
    let flags = if asker.dnssec_ok { DNSSEC_OK } else { 0 };
    reply.extend_from_slice(&[0, 0, OPT as u8, high, low, upper, 0, flags, 0, 0, 0]);
    if let Some(count) = reply.get_mut(10..HEADER) {
        count.copy_from_slice(&1_u16.to_be_bytes());
    }
}

/// Where a name ends: at the empty label, or after the pointer to the rest.
fn after_name(message: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        match *message.get(at).ok_or(Malformed)? {
            0 => return Ok(at + 1),
            label @ 1..=63 => at += 1 + usize::from(label),
            0xc0..=0xff => return Ok(at + 2),
            _ => return Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01";

    fn with(records: &[u8]) -> Vec<u8> {
        [QUESTION, records].concat()
    }

    #[test]
    fn size_version_and_flags_are_read() {
        let (end, found) = split(&with(b"\0\0\x29\x10\0\0\0\x80\0\0\0")).unwrap();
        assert_eq!(end, QUESTION.len());
        assert_eq!(found, Some(Edns { size: 4096, version: 0, dnssec_ok: true }));
        let (_, found) = split(&with(b"\0\0\x29\x02\0\0\x01\0\0\0\x04abcd")).unwrap();
        assert_eq!(found, Some(Edns { size: 512, version: 1, dnssec_ok: false }));
        // Another record, with a pointer for a name.
        assert_eq!(split(&with(b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\0")).unwrap().1, None);
    }

    #[test]
    fn what_breaks_the_format_is_said_to() {
        let opt = b"\0\0\x29\x10\0\0\0\0\0\0\0";
        let mut two = with(&[*opt, *opt].concat());
        two[11] = 2;
        assert_eq!(split(&two), Err(Malformed));
        assert_eq!(split(&with(b"\x01a\0\0\x29\x10\0\0\0\0\0\0\0")), Err(Malformed));
        assert_eq!(split(&with(b"\0\0\x29\x10\0\0\0\0\0\0\x01")), Err(Malformed));
        for length in 0..with(opt).len() {
            assert_eq!(split(&with(opt)[..length]), Err(Malformed), "{length} bytes");
        }
    }

    #[test]
    fn a_code_of_more_than_four_bits_is_in_two_places() {
        let mut reply = vec![0; HEADER];
        append(&mut reply, Edns { size: 512, version: 1, dnssec_ok: false }, 1232, 16);
        assert_eq!(reply[11], 1);
        assert_eq!(reply[12..], *b"\0\0\x29\x04\xd0\x01\0\0\0\0\0");
    }
}
