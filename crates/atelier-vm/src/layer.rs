//! Layer disks: what a machine changes, as a sparse file with an ext4 filesystem.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::VmError;
use crate::command::{self, program};
use crate::error::Result;
use crate::files;
pub use crate::files::copy_sparse;

/// The smallest disk that a filesystem with a journal fits on, in bytes.
pub const SMALLEST: u64 = 16 << 20;

/// Makes the layer disk `path` of `size` bytes: a sparse copy of an empty one, which is kept in
/// `cache` for each size.
///
/// # Errors
/// When `mkfs.ext4` is missing or fails, `path` exists, or the disk is full.
pub fn make(path: &Path, size: u64, cache: &Path) -> Result<()> {
    let size = size.max(SMALLEST).next_multiple_of(4096);
    let folder = cache.join(format!("empty-{size}"));
    files::make_once(&folder, |fresh| format(&fresh.join("disk"), size))?;
    copy_sparse(&folder.join("disk"), path)
}

/// The program that makes filesystems.
pub(crate) fn mkfs() -> Result<PathBuf> {
    program("mkfs.ext4", None).ok_or_else(|| VmError::Missing {
        what: "mkfs.ext4",
        why: "no such program".to_owned(),
        remedy: "install it: 'apt install e2fsprogs' or 'dnf install e2fsprogs'".to_owned(),
    })
}

fn format(path: &Path, size: u64) -> Result<()> {
    let mkfs = mkfs()?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|file| file.set_len(size)).map_err(VmError::io("making", path))?;
    // A small journal: the disk's first writes are what a sandbox waits for. The kernel reads the
    // file's holes as zeros, so nothing needs to be written ahead.
    let mut make = Command::new(mkfs);
    make.args(["-q", "-F", "-m", "0", "-J", if size < 256 << 20 { "size=4" } else { "size=16" }])
        .args(["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"])
        .args(["-L", "layer"])
        .arg(path);
    command::run(make)
}
