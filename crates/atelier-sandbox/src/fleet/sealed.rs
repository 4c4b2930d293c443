//! Text that lies sealed in records: ChaCha20-Poly1305 (RFC 8439) by a key of the home's secret, in Base64
//! after a number that is used once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Seals a text; none when the system gives no random numbers.
pub(super) fn seal(key: &[u8; 32], text: &[u8]) -> Option<String> {
    let mut once = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut once).ok()?;
    let mut bytes = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(once);
    keyed(key)?.seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes).ok()?;
    Some(STANDARD_NO_PAD.encode([&once[..], &bytes].concat()))
}

/// Opens it again; none when it was sealed by another key, or changed.
pub(super) fn open(key: &[u8; 32], sealed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (once, bytes) = bytes.split_first_chunk::<NONCE_LEN>()?;
    let mut bytes = bytes.to_vec();
    let nonce = Nonce::assume_unique_for_key(*once);
    let length = keyed(key)?.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

fn keyed(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_what_nobody_changed() {
        let (key, other) = ([1; 32], [2; 32]);
        let sealed = seal(&key, b"a secret").unwrap();
        assert_eq!(open(&key, &sealed).unwrap(), b"a secret");
        assert_ne!(sealed, seal(&key, b"a secret").unwrap(), "no two are alike");
        assert!(open(&other, &sealed).is_none());
        let changed = sealed.replace(sealed.chars().last().unwrap(), "A");
        assert!(open(&key, &changed).is_none() || changed == sealed);
        assert!(open(&key, "").is_none());
    }
}
