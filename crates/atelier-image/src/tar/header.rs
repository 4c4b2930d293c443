//! The 512 bytes before each entry.

use super::TarError;

/// The size of a block.
pub(crate) const BLOCK: usize = 512;

type Result<T> = std::result::Result<T, TarError>;

/// A header whose sum was checked.
pub(crate) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Result<Self> {
        let expected = number(&block[148..156])?;
        let (mut unsigned, mut signed) = (0u64, 0i64);
        for (at, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if expected != unsigned && i64::try_from(expected) != Ok(signed) {
            return Err(TarError::Invalid("a header's checksum is wrong"));
        }
        Ok(Self(block))
    }

    pub(crate) fn flag(&self) -> u8 {
        self.0[156]
    }

    /// The name, with the prefix that ustar keeps apart.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = text(&self.0[345..500]);
        // GNU's format has times and sparse maps in the place of the prefix.
        if &self.0[257..263] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<u32> {
        // Some writers put the file's type in as well.
        Ok(u32::try_from(number(&self.0[100..108])? & 0o7777).unwrap_or(0))
    }

    pub(crate) fn uid(&self) -> Result<u64> {
        number(&self.0[108..116])
    }

    pub(crate) fn gid(&self) -> Result<u64> {
        number(&self.0[116..124])
    }

    pub(crate) fn size(&self) -> Result<u64> {
        number(&self.0[124..136])
    }

    pub(crate) fn mtime(&self) -> Result<i64> {
        signed(&self.0[136..148])
    }

    /// The fields that a sparse file of the GNU format has: the first part of its map, whether
    /// there is more, and its size once written.
    pub(crate) fn gnu_sparse(&self) -> Result<(&'a [u8], bool, u64)> {
        Ok((&self.0[386..482], self.0[482] != 0, number(&self.0[483..495])?))
    }
}

/// A field up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|b| *b == 0).unwrap_or(field.len())]
}

/// A number that can't be negative.
pub(crate) fn number(field: &[u8]) -> Result<u64> {
    u64::try_from(signed(field)?).map_err(|_| TarError::Invalid("a number is negative"))
}

/// Octal digits, or GNU's base 256 where the highest bit is set.
fn signed(field: &[u8]) -> Result<i64> {
    const BAD: TarError = TarError::Invalid("a number of a header is not one");
    if field[0] & 0x80 != 0 {
        // The sign is in the second highest bit of the first byte.
        let fill = if field[0] & 0x40 != 0 { -1i128 } else { 0 };
        let mut value = (fill << 7) | i128::from(field[0] & 0x7f);
        for byte in &field[1..] {
            value = (value << 8) | i128::from(*byte);
        }
        return i64::try_from(value).map_err(|_| BAD);
    }
    let digits = text(field).trim_ascii();
    if digits.is_empty() {
        return Ok(0);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| BAD)?;
    i64::from_str_radix(digits, 8).map_err(|_| BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert_eq!(number(b"   644 \0").unwrap(), 0o644);
        assert_eq!(number(b"\0\0\0\0").unwrap(), 0);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]).unwrap(), 2 << 32);
        assert_eq!(signed(&[0xff; 12]).unwrap(), -1);
        assert!(number(&[0xff; 12]).is_err());
        assert!(number(b"9\0").is_err());
        assert!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]).is_err());
    }
}
