//! The key of a home: what a call over TCP must carry, because a TCP port has no peer credentials.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use atelier_files::whole;

/// 256 random bits in hexadecimal, in a file that only its owner reads.
#[derive(Clone)]
pub struct LocalKey(String);

impl LocalKey {
    /// Reads the key at `path`, or makes it.
    ///
    /// # Errors
    /// When the file can neither be read nor written.
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().len() == 64 => return Ok(Self(text.trim().to_owned())),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let mut random = [0u8; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let key: String = random.iter().map(|b| format!("{b:02x}")).collect();
        whole::replace(path, key.as_bytes(), whole::PRIVATE)?;
        Ok(Self(key))
    }

    /// Whether `given` is this key, in time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), given.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
    }
}

impl std::fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_matches_itself() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api");
        let key = LocalKey::open(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(LocalKey::open(&path).unwrap().matches(&text));
        assert!(!key.matches("") && !key.matches(&"0".repeat(64)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
