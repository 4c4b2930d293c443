//! How much a tree takes on the disk.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Result;

use super::beneath::{join, names, open_root, open_straight, stat_at};
use super::marks::kind;

/// Blocks of the tree in bytes, each hard link once. What can't be read counts as nothing.
pub(crate) fn disk_usage(path: &Path) -> Result<u64> {
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
    let dir = open_straight(root, path)?;
    let mut total = 0;
    for name in names(&dir)? {
        let Some(stat) = stat_at(&dir, name.to_bytes())? else { continue };
        if kind(&stat) == FileType::Directory {
            todo.push(join(path, name.to_bytes()));
        } else if stat.st_nlink > 1 && !linked.insert(stat.st_ino) {
            continue;
        }
        total += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    }
    Ok(total)
}
