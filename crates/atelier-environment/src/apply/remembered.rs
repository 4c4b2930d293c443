//! What was brought back before. It is the base of the next merge, so that a path that was
//! applied, edited in the project, and changed again in the environment merges like two branches
//! that met before.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::base::store::hex;
use crate::changes::side::{GitMode, Layers, Pair, Side};
use crate::workspace::Workspace;

/// Contents up to this many bytes are kept; of longer ones only a hash.
const KEEP: u64 = 1 << 20;

/// The environment's state of each path when it was last applied.
pub(crate) struct Memory {
    dir: PathBuf,
    /// Looked in first.
    first: Option<PathBuf>,
}

/// A path's state: a letter for its kind, then its contents or (`#`) their hash.
fn state(layers: &Layers, side: Option<&Side>) -> Option<Vec<u8>> {
    let Some(side) = side else { return Some(GONE.to_vec()) };
    if side.leaf.entry.size <= KEEP {
        return Some(short(side.mode, &layers.read(side).ok()?));
    }
    let mut hash = Sha256::new();
    let mut file = layers.file(side).ok()?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).ok()? {
            0 => return Some(hashed(hash)),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// The state of a path that is gone.
const GONE: &[u8] = b"-";

fn short(mode: GitMode, contents: &[u8]) -> Vec<u8> {
    let kind = match mode {
        GitMode::Plain => b'f',
        GitMode::Executable => b'x',
        GitMode::Link => b'l',
    };
    [&[kind], contents].concat()
}

fn hashed(hash: Sha256) -> Vec<u8> {
    [b"#", hash.finalize().as_slice()].concat()
}

impl Memory {
    /// What was brought into the project's working tree. After a sync nothing is remembered: what was
    /// applied before is in the snapshot then.
    pub(crate) fn applied(workspace: &Workspace) -> Self {
        Self::named(workspace, "applied")
    }

    /// What was brought to a branch.
    pub(crate) fn branched(workspace: &Workspace) -> Self {
        Self::named(workspace, "branched")
    }

    /// What the environment had in rendered files when they were applied.
    pub(crate) fn shown(workspace: &Workspace) -> Self {
        Self::named(workspace, "shown")
    }

    /// What the environment had when it was applied, rendered or not.
    pub(crate) fn inside(workspace: &Workspace) -> Self {
        Self { first: Some(Self::shown(workspace).dir), ..Self::applied(workspace) }
    }

    fn named(workspace: &Workspace, name: &str) -> Self {
        let name = match &workspace.synced {
            Some(synced) => format!("{name}-{}", synced.id),
            None => name.to_owned(),
        };
        Self { dir: workspace.layer_dir().join(name), first: None }
    }

    fn file(&self, path: &[u8]) -> PathBuf {
        let name = hex(path);
        let first = self.first.as_ref().map(|dir| dir.join(&name));
        first.filter(|file| file.exists()).unwrap_or_else(|| self.dir.join(name))
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

    /// Whether the path was applied at all.
    pub(crate) fn knows(&self, path: &[u8]) -> bool {
        self.file(path).exists()
    }

    /// Whether the path was gone when it was applied.
    pub(crate) fn is_gone(&self, path: &[u8]) -> bool {
        std::fs::read(self.file(path)).is_ok_and(|kept| kept == GONE)
    }

    /// Whether the path was applied with exactly these contents.
    pub(crate) fn is_text(&self, path: &[u8], mode: GitMode, contents: &[u8]) -> bool {
        let now = if contents.len() as u64 <= KEEP {
            short(mode, contents)
        } else {
            hashed(Sha256::new_with_prefix(contents))
        };
        std::fs::read(self.file(path)).is_ok_and(|kept| kept == now)
    }

    /// Remembers that these were applied. Losing this costs nothing but a merge's precision, so a
    /// failure is none of the apply's.
    pub(crate) fn keep(&self, layers: &Layers, pairs: &[Pair]) {
        if pairs.is_empty() {
            return;
        }
        let _ = std::fs::create_dir_all(&self.dir);
        for pair in pairs {
            if let Some(state) = state(layers, pair.new.as_ref()) {
                let _ = std::fs::write(self.file(&pair.path), state);
            }
        }
    }
}
