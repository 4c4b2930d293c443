//! Secrets of tokens: how they look, how they are made, and what is kept of them.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// E2B's SDKs refuse keys of another shape: this, and 40 lower-case hexadecimal digits.
const START: &str = "e2b_";
/// Random bytes of a secret. With 160 random bits a plain hash needs no salt and no stretching.
const RANDOM: usize = 20;
/// How much of a secret is kept to recognise it by; 136 bits stay unknown.
const SHOWN: usize = START.len() + 6;

/// A hash of a secret.
pub(super) type Hash = [u8; 32];

/// Makes a secret.
pub(super) fn make() -> io::Result<String> {
    let mut random = [0u8; RANDOM];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("{START}{}", hex(&random)))
}

/// Whether a text is shaped like a secret of ours.
pub(super) fn is_shaped(text: &str) -> bool {
    let digits =
        |rest: &str| rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    text.strip_prefix(START).is_some_and(|rest| rest.len() == 2 * RANDOM && digits(rest))
}

/// The beginning that is kept and shown. `secret` is shaped.
pub(super) fn prefix(secret: &str) -> &str {
    secret.get(..SHOWN).unwrap_or(secret)
}

/// What is kept of a secret.
pub(super) fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two texts are the same, in time that does not depend on where they differ.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_shape_that_e2b_sdks_accept() {
        let secret = make().unwrap();
        assert!(is_shaped(&secret), "{secret}");
        assert_eq!(secret.len(), 44);
        assert_ne!(secret, make().unwrap());
        let upper = secret.to_uppercase();
        for bad in ["", "e2b_", &secret[1..], &format!("{secret}0"), upper.as_str(), "e2b_é"] {
            assert!(!is_shaped(bad), "{bad}");
        }
    }

    #[test]
    fn only_the_same_text_is_the_same() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd") && !same("abc", "ab") && !same("", "a"));
    }
}
