//! A limit on what a sandbox writes to disk: its layers lie in a filesystem of their own, in a
//! sparse file of that size. Needs root, since only root may mount one.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::SandboxError;
use crate::command::run;

/// The smallest filesystem that is of use.
pub const SMALLEST: u64 = 16 << 20;

/// The image and the mount point in a sandbox's folder.
fn places(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("disk.ext4"), dir.join("disk"))
}

/// Makes the filesystem of `bytes`, mounts it, and gives the folder. Does what is still to do when
/// a part of it is there.
///
/// # Errors
/// [`SandboxError::Limit`] without root or below [`SMALLEST`]; [`SandboxError::Start`] when
/// `mkfs.ext4` or `mount` fails.
pub fn limited(dir: &Path, bytes: u64) -> Result<PathBuf, SandboxError> {
    check(bytes)?;
    let (image, mount) = places(dir);
    fs::create_dir_all(&mount).map_err(SandboxError::io("making", &mount))?;
    if !image.exists() {
        make(&image, bytes)?;
    }
    if !is_mounted(&mount) {
        let mut command = Command::new("mount");
        command.args(["-t", "ext4", "-o", "loop,nodev,noatime"]).arg(&image).arg(&mount);
        run(command)?;
    }
    Ok(mount)
}

/// Whether a filesystem of this size can be had.
///
/// # Errors
/// [`SandboxError::Limit`] without root or below [`SMALLEST`].
pub fn check(bytes: u64) -> Result<(), SandboxError> {
    let refuse = |why: &str, remedy: &str| {
        Err(SandboxError::Limit { what: "disk", why: why.into(), remedy: remedy.into() })
    };
    if !nix::unistd::geteuid().is_root() {
        return refuse(
            "only root may mount a filesystem of limited size",
            "leave --disk out, or use the control plane of root",
        );
    }
    if bytes < SMALLEST {
        return refuse("it is below 16 MiB", "ask for 16MiB or more");
    }
    Ok(())
}

/// Whole or not there: the image gets its name when it is ready.
fn make(image: &Path, bytes: u64) -> Result<(), SandboxError> {
    let fresh = image.with_extension("new");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&fresh)
        .map_err(SandboxError::io("making", &fresh))?;
    file.set_len(bytes).map_err(SandboxError::io("sizing", &fresh))?;
    let mut command = Command::new("mkfs.ext4");
    // No reserved blocks and no journal: the limit is what was asked for, and the layers of a
    // sandbox that a power cut took are checked again at the next mount.
    command.args(["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1"]);
    command.arg(&fresh);
    run(command)?;
    fs::rename(&fresh, image).map_err(SandboxError::io("naming", image))
}

/// Takes the filesystem down, if there is one.
///
/// # Errors
/// When it is busy.
pub fn unmount(dir: &Path) -> Result<(), SandboxError> {
    let (_, mount) = places(dir);
    while is_mounted(&mount) {
        nix::mount::umount2(&mount, nix::mount::MntFlags::empty())
            .or_else(|_| nix::mount::umount2(&mount, nix::mount::MntFlags::MNT_DETACH))
            .map_err(|e| SandboxError::Io {
                doing: "unmounting",
                path: mount.clone(),
                source: e.into(),
            })?;
    }
    Ok(())
}

/// A mount point lies on another device than its parent.
fn is_mounted(mount: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |p: &Path| fs::symlink_metadata(p).map(|m| m.dev()).ok();
    match (device(mount), mount.parent().and_then(device)) {
        (Some(a), Some(b)) => a != b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filesystem_is_no_larger_than_asked_for_and_goes_away() {
        assert!(nix::unistd::geteuid().is_root(), "run this test as root");
        let dir = tempfile::tempdir().unwrap();
        let mount = limited(dir.path(), SMALLEST).unwrap();
        assert_eq!(limited(dir.path(), SMALLEST).unwrap(), mount, "asking twice is asking once");
        let error = fs::write(mount.join("big"), vec![1u8; 32 << 20]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        unmount(dir.path()).unwrap();
        assert!(!is_mounted(&mount));
    }
}
