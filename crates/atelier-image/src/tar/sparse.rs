//! Maps of sparse files, in GNU's old format and the three PAX ones.

use std::io::Read;

use super::TarError;
use super::header::{BLOCK, number, text};
use super::pax::decimal;

type Result<T> = std::result::Result<T, TarError>;

/// More pieces than this are not a file but an attack on memory.
const PIECES: usize = 1 << 20;
const BAD: TarError = TarError::Invalid("the map of a sparse file is not valid");

/// A map as it is read: offsets and lengths, one after the other.
#[derive(Default)]
pub(crate) struct Map(Vec<u64>);

impl Map {
    pub(crate) fn new(numbers: Vec<u64>) -> Self {
        Self(numbers)
    }

    /// Adds the pieces of a header of the old format, 24 bytes each.
    pub(crate) fn add_old(&mut self, field: &[u8]) -> Result<()> {
        for piece in field.chunks_exact(24) {
            if text(piece).is_empty() {
                break;
            }
            self.0.push(number(&piece[..12])?);
            self.0.push(number(&piece[12..])?);
        }
        if self.0.len() > 2 * PIECES { Err(BAD) } else { Ok(()) }
    }

    /// Reads the map at the beginning of the data: how many pieces, then the pieces, a number a
    /// line, filled up to a block. Returns how many bytes it took.
    pub(crate) fn from_data(data: &mut impl Read) -> Result<(Self, u64)> {
        let mut lines = Lines { data, block: [0; BLOCK], at: BLOCK, taken: 0 };
        let pieces = usize::try_from(lines.number()?).map_err(|_| BAD)?;
        if pieces > PIECES {
            return Err(BAD);
        }
        let numbers = (0..2 * pieces).map(|_| lines.number()).collect::<Result<_>>()?;
        Ok((Self(numbers), lines.taken))
    }

    /// The pieces, if they are in order, apart, within the file, and as long as the data.
    pub(crate) fn pieces(self, size: u64, data: u64) -> Result<Vec<(u64, u64)>> {
        if !self.0.len().is_multiple_of(2) || self.0.len() > 2 * PIECES {
            return Err(BAD);
        }
        let pieces: Vec<_> = self.0.chunks_exact(2).map(|p| (p[0], p[1])).collect();
        let (mut end, mut sum) = (0u64, 0u64);
        for (offset, length) in &pieces {
            if *offset < end {
                return Err(BAD);
            }
            end = offset.checked_add(*length).ok_or(BAD)?;
            sum += length;
        }
        if end > size || sum != data { Err(BAD) } else { Ok(pieces) }
    }
}

struct Lines<'a, R> {
    data: &'a mut R,
    block: [u8; BLOCK],
    at: usize,
    taken: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                self.data.read_exact(&mut self.block).map_err(|_| TarError::CutOff)?;
                self.at = 0;
                self.taken += BLOCK as u64;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return decimal(&digits).map_err(|_| BAD),
                _ if digits.len() > 20 => return Err(BAD),
                _ => digits.push(byte),
            }
        }
    }
}
