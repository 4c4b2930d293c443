//! The end of an output: of what a command says, no more is kept than was asked for.

/// The last bytes of an output.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    keep: usize,
    lost: u64,
}

impl Tail {
    /// Of an output of which `keep` bytes are of interest.
    pub(crate) fn new(keep: usize) -> Self {
        Self { bytes: Vec::new(), keep, lost: 0 }
    }

    /// Goes on with the output.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Not at each piece: moving what is kept takes time.
        if self.bytes.len() > 2 * self.keep {
            self.cut();
        }
    }

    /// The end of it as text, and how many bytes came before.
    pub(crate) fn finish(mut self) -> (String, u64) {
        self.cut();
        (String::from_utf8_lossy(&self.bytes).into_owned(), self.lost)
    }

    fn cut(&mut self) {
        let over = self.bytes.len().saturating_sub(self.keep);
        self.bytes.drain(..over);
        self.lost += over as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_an_output_is_kept_and_the_rest_is_counted() {
        let mut tail = Tail::new(25);
        for letter in b'a'..=b'z' {
            tail.add(&[letter; 10]);
            assert!(tail.bytes.len() <= 50);
        }
        assert_eq!(tail.finish(), ("xxxxxyyyyyyyyyyzzzzzzzzzz".to_owned(), 235));
    }
}
