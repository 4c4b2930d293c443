//! Tokens of sandboxes: made from one secret of the home and the sandbox's id, so that none is kept.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use atelier_files::whole;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The home's secret.
pub(super) struct Secret([u8; 32]);

impl Secret {
    /// Reads the secret, or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(secret) = read(path)? {
            return Ok(secret);
        }
        let mut random = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        whole::replace(path, &random, whole::PRIVATE)?;
        Ok(Self(random))
    }

    /// The key for one purpose of the home.
    pub(super) fn key(&self, purpose: &str) -> [u8; 32] {
        let inner = Sha256::new().chain_update(self.0).chain_update(purpose);
        Sha256::new().chain_update(self.0).chain_update(inner.finalize()).finalize().into()
    }

    /// The token for one purpose of one sandbox: 64 hexadecimal digits.
    pub(super) fn token(&self, purpose: &str, id: Uuid) -> String {
        let inner = Sha256::new().chain_update(self.0).chain_update(purpose).chain_update(id);
        // Twice, so that nobody can go on from a digest that they know.
        let outer = Sha256::new().chain_update(self.0).chain_update(inner.finalize());
        outer.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn read(path: &Path) -> io::Result<Option<Secret>> {
    Ok(whole::read(path)?.and_then(|bytes| bytes.try_into().ok()).map(Secret))
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_by_sandbox_and_purpose_and_stay_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys").join("sandboxes");
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let secret = Secret::open(&path).unwrap();
        let token = secret.token("guest", a);
        assert_eq!(token.len(), 64);
        assert_ne!(token, secret.token("traffic", a));
        assert_ne!(token, secret.token("guest", b));
        assert_eq!(token, Secret::open(&path).unwrap().token("guest", a));
    }
}
