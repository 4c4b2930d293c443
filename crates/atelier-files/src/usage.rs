//! How much a tree takes on the disk.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Result;

use crate::below::{join, names, open_dir_here, open_root, stat_at};

/// The bytes that everything in a folder takes on its disk, each hard link once, mounts left out.
/// What can't be read counts as nothing.
///
/// # Errors
/// When the folder itself can't be opened.
pub fn disk_usage(path: &Path) -> Result<u64> {
    let root = open_root(path)?;
    let mut total = 0;
    let mut linked = HashSet::new();
    let mut todo = vec![Vec::new()];
    while let Some(dir) = todo.pop() {
        let _ = one(root.as_fd(), &dir, &mut todo, &mut linked).map(|bytes| total += bytes);
    }
    Ok(total)
}

fn one(
    root: BorrowedFd<'_>,
    path: &[u8],
    todo: &mut Vec<Vec<u8>>,
    linked: &mut HashSet<u64>,
) -> Result<u64> {
    let dir = open_dir_here(root, path)?;
    let mut total = 0;
    for name in names(&dir)? {
        let Some(stat) = stat_at(&dir, name.to_bytes())? else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            todo.push(join(path, name.to_bytes()));
        } else if stat.st_nlink > 1 && !linked.insert(stat.st_ino) {
            continue;
        }
        total += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_counts_once_and_a_hole_not_at_all() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::create_dir(tmp.path().join("d")).unwrap();
        std::fs::write(tmp.path().join("d/a"), vec![1; 100_000]).unwrap();
        let before = disk_usage(tmp.path()).unwrap();
        assert!(before >= 100_000, "{before}");
        std::fs::hard_link(tmp.path().join("d/a"), tmp.path().join("b")).unwrap();
        std::fs::File::create(tmp.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(disk_usage(tmp.path()).unwrap(), before);
    }
}
