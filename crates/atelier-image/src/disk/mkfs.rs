//! The programs that make a filesystem of a tree.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::flatten::Count;
use crate::command::{command, find, output};
use crate::files::marks::as_root;
use crate::{DiskKind, ImageError, Result};

/// How long it may take: a large image on a slow disk.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// What ext4 needs beside the files themselves.
const EXT4_BASE: u64 = 32 << 20;
/// The size of an inode of ext4, with its share of the tables.
const EXT4_INODE: u64 = 512;

impl DiskKind {
    const fn program(self) -> &'static str {
        match self {
            Self::Erofs => "mkfs.erofs",
            Self::Ext4 => "mkfs.ext4",
        }
    }
}

/// The first kind whose program is here.
pub(super) fn choose(kinds: &[DiskKind]) -> Result<DiskKind> {
    let found = kinds.iter().copied().find(|kind| find(kind.program()).is_some());
    found.ok_or_else(|| ImageError::NoMkfs(kinds.first().map_or("", |kind| kind.name())))
}

/// Makes the file `disk` with the content of `tree`.
pub(super) async fn make(kind: DiskKind, tree: &Path, disk: &Path, count: Count) -> Result<()> {
    let program = find(kind.program()).ok_or(ImageError::NoMkfs(kind.name()))?;
    let mut args: Vec<OsString> = Vec::new();
    match kind {
        DiskKind::Erofs => {
            args.push("--quiet".into());
            if !as_root() {
                // A user's files stand for the superuser's.
                args.push("--all-root".into());
            }
            args.extend([disk.into(), tree.into()]);
        }
        DiskKind::Ext4 => {
            let size = EXT4_BASE + count.bytes + count.bytes / 16 + count.entries * EXT4_INODE * 2;
            let file = std::fs::File::create_new(disk).map_err(ImageError::io("making", disk))?;
            file.set_len(size.next_multiple_of(1 << 20)).map_err(ImageError::io("making", disk))?;
            let inodes = (count.entries + count.entries / 16 + 1024).to_string();
            // No journal and no reserve, since nobody writes to it.
            let plain = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1"];
            args.extend(plain.map(OsString::from));
            args.extend(["-N".into(), inodes.into(), "-d".into(), tree.into(), disk.into()]);
        }
    }
    run(kind, program.as_os_str(), args).await
}

async fn run(kind: DiskKind, program: &OsStr, args: Vec<OsString>) -> Result<()> {
    let failed = |why: String| ImageError::Disk(format!("{}: {why}", kind.program()));
    let command = match (kind, find("unshare")) {
        // In a user namespace a user's files are the superuser's, as they should be in the VM.
        (DiskKind::Ext4, Some(unshare)) if !as_root() => {
            let mut all: Vec<OsString> = vec!["--map-root-user".into(), "--".into()];
            all.push(program.to_owned());
            all.extend(args);
            command(&unshare.to_string_lossy(), &all)
        }
        _ => command(&program.to_string_lossy(), &args),
    };
    let done = output(command, b"", LIMIT).await.map_err(|e| failed(e.to_string()))?;
    if done.status.success() { Ok(()) } else { Err(failed(done.why())) }
}
