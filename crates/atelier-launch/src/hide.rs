//! Hiding: an empty, read-only thing is mounted over what a sandbox must not see.
//!
//! Which paths are credentials is in [`crate::grants`]. What does not exist on the host needs no
//! cover, so a sandbox can have an `~/.ssh` of its own.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::error::{At as _, Result};
use crate::grants::{GRANTS, MACHINE};
use crate::layers::private_dir;
use crate::root::Root;
use crate::spec::LaunchSpec;
use crate::sys;

/// The empty things that are mounted over others.
pub struct Void {
    dir: OwnedFd,
    file: OwnedFd,
}

impl Void {
    /// Makes them in a tmpfs at `place`, outside the new root.
    pub fn new(place: &Path) -> Result<Self> {
        let make = || {
            private_dir(place)?;
            let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
            mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some("mode=700,size=64k"))?;
            let (dir, file) = (place.join("dir"), place.join("file"));
            private_dir(&dir)?;
            std::fs::write(&file, b"")?;
            // Readable: programs take an empty file for no settings, and a shut one for an error.
            std::fs::set_permissions(&dir, Permissions::from_mode(0o555))?;
            std::fs::set_permissions(&file, Permissions::from_mode(0o444))?;
            let path_fd = |path| open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
            sys::restrict(path_fd(place)?, sys::RDONLY, false)?;
            Ok::<_, std::io::Error>(Self { dir: path_fd(&dir)?, file: path_fd(&file)? })
        };
        make().at("prepare the empty directory", place)
    }

    /// Makes them in a tmpfs at `place` inside, which something else will be mounted over.
    pub fn inside(root: &Root, place: &Path) -> Result<Self> {
        root.tmpfs(place, 0o700)?;
        let (dir, file) = (place.join("dir"), place.join("file"));
        let (dir, file) = (root.ensure_dir(&dir, 0o555)?, root.ensure_file(&file)?);
        root.seal(place)?;
        Ok(Self { dir, file })
    }

    /// Covers what is at `path` inside, if it is there.
    pub fn mask(&self, root: &Root, path: &Path) -> Result<()> {
        match root.open(path) {
            Ok(target) => self.cover(root, &target, path),
            // What cannot be reached here cannot be reached by the sandbox, which has less power.
            Err(_) => Ok(()),
        }
    }

    fn cover(&self, root: &Root, target: &OwnedFd, path: &Path) -> Result<()> {
        let kind = fstat(target).at("look at", path)?;
        let base = fstat(root.fd()).at("look at", path)?;
        if same(&kind, &base) {
            return Ok(()); // a link to `/` hides nothing by being hidden
        }
        let empty = if is_dir(&kind) { &self.dir } else { &self.file };
        let put = || {
            let tree = sys::clone_tree(empty.as_fd(), Path::new(""), false)?;
            sys::attach(tree, target)
        };
        put().at("hide", path)
    }
}

fn same(a: &FileStat, b: &FileStat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

fn is_dir(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode).contains(SFlag::S_IFDIR)
        && SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT) == SFlag::S_IFDIR
}

/// The absolute paths to hide for a sandbox; whether they exist is looked up on the host.
pub fn hidden(spec: &LaunchSpec) -> Vec<PathBuf> {
    let mut paths = vec![spec.home.clone(), spec.dir.clone(), spec.layers_dir.clone()];
    paths.extend(spec.hide_extra.iter().cloned());
    if nix::unistd::geteuid().is_root() {
        paths.extend(MACHINE.iter().map(PathBuf::from));
    }
    for home in homes(&spec.user_home) {
        credentials(&home, &spec.grants, &mut paths);
    }
    // Where a link leads is what must be covered; a cover over the parent covers the child.
    let mut paths: Vec<_> = paths.iter().filter_map(|path| resolve(path)).collect();
    paths.sort();
    paths.dedup_by(|child, parent| child.starts_with(parent));
    paths
}

/// Where `path` leads, if it exists; in three calls, which `canonicalize` is not.
fn resolve(path: &Path) -> Option<PathBuf> {
    let fd = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()
}

/// The home directories of people on this machine.
fn homes(user_home: &Path) -> Vec<PathBuf> {
    let mut homes = vec![user_home.to_owned(), PathBuf::from("/root")];
    let others = std::fs::read_dir("/home").into_iter().flatten().flatten();
    homes.extend(others.map(|entry| entry.path()));
    homes.sort();
    homes.dedup();
    homes
}

/// Adds the credentials below `home` that exist and are not granted.
fn credentials(home: &Path, granted: &[String], out: &mut Vec<PathBuf>) {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(dir) = open(home, flags, Mode::empty()) else { return };
    // One reading of the directory spares a hundred lookups of what is not there.
    let names: Option<HashSet<OsString>> = std::fs::read_dir(home)
        .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
        .ok();
    let there = |path: &str| {
        let first = path.split('/').next().unwrap_or(path);
        names.as_ref().is_none_or(|names| names.contains(OsStr::new(first)))
            && fstatat(&dir, path, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    };
    let withheld = GRANTS.iter().filter(|grant| !granted.iter().any(|name| name == grant.name));
    for path in withheld.flat_map(|grant| grant.paths).filter(|path| there(path)) {
        out.push(home.join(path));
    }
}

/// Hides `paths`. A hidden directory that one of `targets` lies in becomes an empty one in which
/// just the way to the target exists.
pub fn hide(root: &Root, void: &Void, paths: &[PathBuf], targets: &[&Path]) -> Result<()> {
    for path in paths {
        let through: Vec<_> =
            targets.iter().filter(|target| target.starts_with(path) && **target != path).collect();
        if through.is_empty() || root.open(path).is_err() {
            void.mask(root, path)?;
            continue;
        }
        root.tmpfs(path, 0o711)?;
        for target in through {
            root.ensure_dir(target, 0o755)?;
        }
        root.seal(path)?;
    }
    Ok(())
}
