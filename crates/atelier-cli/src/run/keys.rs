//! The keys that leave a command running: typed one after another in a terminal that shows it.

use std::str::FromStr;

use bytes::{Bytes, BytesMut};

/// A sequence of keys, and how much of it has been typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    sequence: Vec<u8>,
    typed: usize,
}

impl Default for Keys {
    /// Docker's: Ctrl-P, Ctrl-Q.
    fn default() -> Self {
        Self { sequence: vec![0x10, 0x11], typed: 0 }
    }
}

/// What is left of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sifted {
    /// What the command gets.
    pub(super) pass: Bytes,
    /// Whether the keys were typed; what came after them is left out.
    pub(super) leave: bool,
}

impl Keys {
    /// Looks for the keys. A part of them is held back until it is known what follows.
    pub(super) fn sift(&mut self, piece: &Bytes) -> Sifted {
        let mut pass = BytesMut::with_capacity(piece.len() + self.typed);
        for &byte in piece {
            if self.sequence.get(self.typed) == Some(&byte) {
                self.typed += 1;
                if self.typed == self.sequence.len() {
                    self.typed = 0;
                    return Sifted { pass: pass.freeze(), leave: true };
                }
                continue;
            }
            pass.extend_from_slice(&self.sequence[..self.typed]);
            self.typed = usize::from(self.sequence.first() == Some(&byte));
            if self.typed == 0 {
                pass.extend_from_slice(&[byte]);
            }
        }
        Sifted { pass: pass.freeze(), leave: false }
    }
}

impl FromStr for Keys {
    type Err = String;

    /// As Docker writes them: characters, or `ctrl-` and a letter or one of `@[\]^_`, with commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        let sequence = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        sequence.map(|sequence| Self { sequence, typed: 0 }).ok_or_else(|| {
            format!("{text:?} are no keys; write characters or ctrl-X with commas between: ctrl-p,ctrl-q")
        })
    }
}

fn key(word: &str) -> Option<u8> {
    match (word.as_bytes(), word.to_ascii_lowercase().strip_prefix("ctrl-")) {
        (&[one], _) if one.is_ascii_graphic() => Some(one),
        (_, Some(rest)) => match *rest.as_bytes() {
            [letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => {
                Some(letter.to_ascii_uppercase() & 0x1f)
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sifted(keys: &mut Keys, piece: &'static [u8]) -> (Vec<u8>, bool) {
        let sifted = keys.sift(&Bytes::from_static(piece));
        (sifted.pass.to_vec(), sifted.leave)
    }

    #[test]
    fn the_keys_are_found_across_pieces_and_nothing_else_is_lost() {
        let mut keys = Keys::default();
        assert_eq!(sifted(&mut keys, b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(sifted(&mut keys, b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(sifted(&mut keys, b"\x10"), (b"\x10".to_vec(), false));
        assert_eq!(sifted(&mut keys, b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(sifted(&mut keys, b"\x10"), (Vec::new(), false));
        assert_eq!(sifted(&mut keys, b"\x11rest"), (Vec::new(), true));
    }

    #[test]
    fn keys_are_written_as_docker_writes_them() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(Keys::default()));
        assert_eq!("Ctrl-A,d".parse(), Ok(Keys { sequence: vec![1, b'd'], typed: 0 }));
        assert_eq!("ctrl-\\".parse(), Ok(Keys { sequence: vec![0x1c], typed: 0 }));
        for bad in ["", "ctrl-", "ctrl-p,", "ctrl-pq", "ab"] {
            assert!(bad.parse::<Keys>().is_err(), "{bad}");
        }
    }
}
