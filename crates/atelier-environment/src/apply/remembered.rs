//! What was brought back before. It is the base of the next merge, so that a path that was
//! applied, edited in the project, and changed again in the environment merges like two branches
//! that met before.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::store::hex;
use crate::changes::side::{GitMode, Layers, Pair, Side};

/// Contents up to this many bytes are kept; of longer ones only a hash.
const KEEP: u64 = 1 << 20;

/// The environment's state of each path when it was last applied.
pub(crate) struct Memory {
    dir: PathBuf,
}

/// A path's state: a letter for its kind, then its contents or (`#`) their hash.
fn state(layers: &Layers, side: Option<&Side>) -> Option<Vec<u8>> {
    let Some(side) = side else { return Some(vec![b'-']) };
    let kind = match side.mode {
        GitMode::Plain => b'f',
        GitMode::Executable => b'x',
        GitMode::Link => b'l',
    };
    if side.leaf.entry.size <= KEEP {
        return Some([&[kind], layers.read(side).ok()?.as_slice()].concat());
    }
    let mut hash = Sha256::new();
    let mut file = layers.file(side).ok()?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).ok()? {
            0 => return Some([b"#", hash.finalize().as_slice()].concat()),
            n => hash.update(&buffer[..n]),
        }
    }
}

impl Memory {
    pub(crate) fn open(layer_dir: &Path) -> Self {
        Self { dir: layer_dir.join("applied") }
    }

    fn file(&self, path: &[u8]) -> PathBuf {
        self.dir.join(hex(path))
    }

    /// What was applied of a path, when it is text that can be a merge's base.
    pub(crate) fn base(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(self.file(path)).ok()?;
        matches!(bytes.first(), Some(b'f' | b'x')).then(|| bytes.split_off(1))
    }

    /// Whether the environment has not touched the path since it was applied.
    pub(crate) fn is_current(&self, layers: &Layers, pair: &Pair) -> bool {
        let Ok(kept) = std::fs::read(self.file(&pair.path)) else { return false };
        state(layers, pair.new.as_ref()).is_some_and(|now| now == kept)
    }

    /// Remembers that these were applied. Losing this costs nothing but a merge's precision, so a
    /// failure is none of the apply's.
    pub(crate) fn keep(&self, layers: &Layers, pairs: &[Pair]) {
        let _ = std::fs::create_dir_all(&self.dir);
        for pair in pairs {
            if let Some(state) = state(layers, pair.new.as_ref()) {
                let _ = std::fs::write(self.file(&pair.path), state);
            }
        }
    }
}
