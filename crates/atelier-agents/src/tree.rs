//! A folder with few small files, as one value: how skills are read, compared and written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{AgentError, Result};
use crate::file::make_folders;
use crate::shape::hex;

/// The most files, the most bytes, and the deepest folder of a skill.
const MOST_FILES: usize = 1000;
const MOST_BYTES: u64 = 16 << 20;
const DEEPEST: usize = 16;

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub bytes: Vec<u8>,
    pub executable: bool,
}

/// The files by their path in the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(pub BTreeMap<PathBuf, Leaf>);

impl Tree {
    /// Reads a folder. Links are followed as long as they stay inside of it; `.git` is left out.
    pub fn read(folder: &Path) -> Result<Self> {
        let root = folder.canonicalize().map_err(|e| AgentError::file("read", folder, e))?;
        let mut tree = Self::default();
        let mut bytes = 0;
        tree.read_into(&root, &root, Path::new(""), &mut bytes, 0)?;
        Ok(tree)
    }

    fn read_into(
        &mut self,
        root: &Path,
        folder: &Path,
        at: &Path,
        bytes: &mut u64,
        depth: usize,
    ) -> Result<()> {
        let failed = |e| AgentError::file("read", folder, e);
        let unfit = |why| AgentError::Unfit { path: folder.to_owned(), why };
        if depth > DEEPEST {
            return Err(unfit("is deeper than a skill may be"));
        }
        for entry in fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name == ".git" {
                continue;
            }
            let path = folder.join(&name).canonicalize().map_err(failed)?;
            if !path.starts_with(root) {
                return Err(unfit("has a link that leads out of the skill"));
            }
            let metadata = path.metadata().map_err(failed)?;
            if metadata.is_dir() {
                self.read_into(root, &path, &at.join(name), bytes, depth + 1)?;
            } else if metadata.is_file() {
                let leaf = read_leaf(&path, MOST_BYTES - *bytes).map_err(failed)?;
                *bytes += leaf.bytes.len() as u64;
                self.0.insert(at.join(name), leaf);
            }
            if *bytes >= MOST_BYTES || self.0.len() > MOST_FILES {
                return Err(unfit("has more than a skill may have: 1000 files, 16 MiB"));
            }
        }
        Ok(())
    }

    /// Writes all files into a folder that is made for them. Files are not private: skills hold no secrets.
    pub fn write(&self, folder: &Path) -> Result<()> {
        make_folders(folder, 0o777)?;
        for (path, leaf) in &self.0 {
            let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            if !plain {
                return Err(AgentError::Unfit {
                    path: path.clone(),
                    why: "leads out of the skill",
                });
            }
            let path = folder.join(path);
            let failed = |e| AgentError::file("written", &path, e);
            make_folders(path.parent().unwrap_or(folder), 0o777)?;
            let mut file = fs::File::create_new(&path).map_err(failed)?;
            io::Write::write_all(&mut file, &leaf.bytes).map_err(failed)?;
            if leaf.executable {
                let mode = file.metadata().map_err(failed)?.permissions().mode();
                let mode = mode | ((mode & 0o444) >> 2);
                file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
            }
            file.sync_all().map_err(failed)?;
        }
        Ok(())
    }

    /// What it holds, as a hash.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, leaf) in &self.0 {
            let mode = if leaf.executable { 'x' } else { '-' };
            let digest = hex(&Sha256::digest(&leaf.bytes));
            hasher.update(format!("{mode} {digest} {}\n", path.display()));
        }
        hex(&hasher.finalize())
    }
}

fn read_leaf(path: &Path, most: u64) -> io::Result<Leaf> {
    let file = fs::File::open(path)?;
    let executable = file.metadata()?.permissions().mode() & 0o100 != 0;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Leaf { bytes, executable })
}
