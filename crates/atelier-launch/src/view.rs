//! The root view: this machine's own filesystem, copy-on-write.
//!
//! Two shapes. With root's power over the mounts, one overlay covers `/` and one each further
//! disk. In a user namespace the kernel refuses to take a mount apart that has others below it
//! ("locked" ones), so there the whole tree is bound read-only, and overlays are laid over those
//! parts of it that can be written. What is put on top of the view is not decided here.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount};
use nix::unistd::{AccessFlags, access};

use crate::error::{At as _, LaunchError, Result};
use crate::layers;
use crate::mountinfo::{self, MountPoint};
use crate::root::Root;
use crate::sys;

/// Places that get a fresh file system of their own: nothing of the host is wanted there.
pub const FRESH: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];
/// File systems on disks of this machine, which can be a lower layer.
const DISKS: [&str; 9] = ["ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs"];
/// File systems that hold no files of a user's.
const PSEUDO: [&str; 24] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];
/// The parts of the machine that a user's sandbox may change although the user may not. The rest
/// of `/` is not worth the half of a millisecond that an overlay costs.
const SYSTEM_PARTS: [&str; 3] = ["etc", "usr", "var"];
/// How deep below `/` the writable parts of a tree with mounts in it are looked for.
const MAX_DEPTH: usize = 4;

/// What the view is made for.
pub struct Request<'a> {
    /// Where the root is assembled.
    pub staging: &'a Path,
    /// Where the upper layers are kept.
    pub layers_dir: &'a Path,
    /// Places that will be hidden, so need no layer.
    pub hidden: &'a [PathBuf],
    /// The user's home directory.
    pub user_home: &'a Path,
    /// What is mounted on this machine.
    pub mounts: &'a [MountPoint],
}

/// Assembles the view and opens its root. `notes` gets what is not as usual.
pub fn build(request: &Request<'_>, notes: &mut Vec<String>) -> Result<Root> {
    let mut layers = Layers { dir: request.layers_dir.to_owned(), in_memory: false };
    if nix::unistd::geteuid().is_root() {
        match layers.cover(Path::new("/"), request.staging, notes) {
            Ok(()) => {
                let root = Root::at(request.staging)?;
                add_disks(request, &mut layers, &root, notes);
                return Ok(root);
            }
            // Mounts that this root does not own: the second shape can still be had.
            Err(error) if cannot_layer(&error) => {}
            Err(error) => return Err(error),
        }
    }
    bind_everything(request.staging)?;
    let root = Root::at(request.staging)?;
    for part in writable_parts(request) {
        let target = root.open(&part).at("open", &part)?;
        match layers.cover(&part, &fd_path(&target), notes) {
            Err(error) if cannot_layer(&error) => {
                notes.push(format!("{} is read-only inside: {}", part.display(), error.why));
            }
            done => done?,
        }
    }
    Ok(root)
}

/// The kernel's ways of saying that these directories make no overlay. A full disk or a lack of
/// permission is another matter.
fn cannot_layer(error: &LaunchError) -> bool {
    matches!(error.errno, libc::EINVAL | libc::EOPNOTSUPP | libc::ELOOP | libc::ESTALE)
}

/// Where the upper layers are kept.
struct Layers {
    dir: PathBuf,
    in_memory: bool,
}

impl Layers {
    /// An overlay of the host's `lower` on `target`.
    fn cover(&mut self, lower: &Path, target: &Path, notes: &mut Vec<String>) -> Result<()> {
        match self.cover_once(lower, target) {
            Err(error) if cannot_layer(&error) && !self.in_memory => {}
            done => return done,
        }
        let memory = self.in_memory()?;
        memory.cover_once(lower, target)?; // if this fails too, it was not for the upper layer
        notes.push(format!(
            "{} cannot hold an overlay's upper layer: changes outside the workspace are kept in \
             memory and end with the sandbox",
            self.dir.display()
        ));
        *self = memory;
        Ok(())
    }

    fn cover_once(&self, lower: &Path, target: &Path) -> Result<()> {
        let (upper, work) = layers::prepare(&self.dir, lower).at("make the layer over", lower)?;
        layers::overlay(target, &[lower], &upper, &work).at("lay an overlay over", lower)
    }

    /// Where the layers' own file system cannot hold an upper layer (an overlay, as in a
    /// container), memory does.
    fn in_memory(&self) -> Result<Self> {
        let dir = self.dir.join("memory");
        layers::private_dir(&dir).at("make the directory", &dir)?;
        let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        mount(Some("tmpfs"), &dir, Some("tmpfs"), flags, Some("mode=700"))
            .at("mount a tmpfs on", &dir)?;
        Ok(Self { dir, in_memory: true })
    }
}

fn fd_path(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// The other disks of the machine over the overlay of `/`: an overlay each, or a read-only bind
/// for what cannot be a lower layer (vfat, squashfs, network and FUSE file systems).
fn add_disks(request: &Request<'_>, layers: &mut Layers, root: &Root, notes: &mut Vec<String>) {
    for disk in request.mounts.iter().filter(|m| m.path != Path::new("/")) {
        let pseudo = PSEUDO.contains(&disk.fstype.as_str());
        if pseudo || unwanted(&disk.path, request.hidden) {
            continue;
        }
        let shown = root.open(&disk.path).at("open", &disk.path).and_then(|target| {
            let layered = DISKS.contains(&disk.fstype.as_str())
                && disk.path.is_dir()
                && layers.cover_once(&disk.path, &fd_path(&target)).is_ok();
            if layered { Ok(()) } else { bind_one(&disk.path, &target) }
        });
        if let Err(error) = shown {
            notes.push(format!("{} is not shown inside: {}", disk.path.display(), error.why));
        }
    }
}

fn bind_one(source: &Path, target: &impl AsFd) -> Result<()> {
    let bind = || {
        let tree = sys::clone_tree(AT_FDCWD.as_fd(), source, false)?;
        sys::restrict(&tree, sys::RDONLY | sys::SAFE, false)?;
        sys::attach(&tree, target)
    };
    bind().at("bind", source)
}

fn unwanted(path: &Path, hidden: &[PathBuf]) -> bool {
    FRESH.iter().any(|fresh| path.starts_with(fresh)) || hidden.iter().any(|h| path.starts_with(h))
}

/// The whole tree with everything that is mounted in it, read-only.
fn bind_everything(staging: &Path) -> Result<()> {
    let bind = || {
        let tree = sys::clone_tree(AT_FDCWD.as_fd(), Path::new("/"), true)?;
        sys::restrict(&tree, sys::RDONLY | sys::SAFE, true)?;
        let target = nix::fcntl::open(
            staging,
            nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC,
            nix::sys::stat::Mode::empty(),
        )?;
        sys::attach(&tree, target)
    };
    bind().map_err(|error| {
        LaunchError::io("bind the machine's file systems", None, &error)
            .hint("Linux 5.12 or newer is needed.")
    })
}

/// The directories that get an overlay in a user namespace, parents before children.
fn writable_parts(request: &Request<'_>) -> Vec<PathBuf> {
    let mut parts = Vec::new();
    for name in children(Path::new("/")) {
        let system = SYSTEM_PARTS.iter().any(|part| name.file_name() == Some(part.as_ref()));
        descend(request, &name, 1, system, &mut parts);
    }
    let home = request.user_home;
    let covered = parts.iter().any(|part| part == home);
    if !covered && home != Path::new("/") && writable(home) && !unwanted(home, request.hidden) {
        descend(request, home, 1, true, &mut parts);
    }
    parts.sort();
    parts.dedup();
    parts
}

/// Takes `dir` if it can be one part and is worth it, else those of its children that the user
/// may write to.
fn descend(request: &Request<'_>, dir: &Path, depth: usize, always: bool, out: &mut Vec<PathBuf>) {
    if unwanted(dir, request.hidden) || depth > MAX_DEPTH {
        return;
    }
    let shut = || access(dir, AccessFlags::R_OK | AccessFlags::X_OK).is_err();
    let has_mounts = mountinfo::any_below(request.mounts, dir);
    if !has_mounts && (always || writable(dir)) {
        if !shut() {
            out.push(dir.to_owned());
        }
    } else if (has_mounts || depth == 1) && !shut() {
        for child in children(dir) {
            descend(request, &child, depth + 1, false, out);
        }
    }
}

fn writable(dir: &Path) -> bool {
    access(dir, AccessFlags::W_OK).is_ok()
}

/// The directories in `dir`; links are not followed.
fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
