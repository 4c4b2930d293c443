//! The new root while it is being built: every path inside it is resolved as the sandbox will
//! see it, so that a symbolic link left behind by an earlier run leads nowhere else.
//!
//! What is put where is decided by the callers ([`crate::view`], [`crate::system`],
//! [`crate::hide`]).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, fchmod, mkdirat};

use crate::error::{At as _, Result};
use crate::sys;

/// How many symbolic links are followed for a file that has to be made.
const MAX_LINKS: usize = 16;

/// The root directory of the view under construction.
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Takes the mount at `staging` as the root.
    pub fn at(staging: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd =
            openat(AT_FDCWD, staging, flags, Mode::empty()).at("open the new root", staging)?;
        Ok(Self { fd })
    }

    /// Takes a mount, of which `fd` is the root.
    pub fn of(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The root itself.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// What is at `path` inside; links are followed.
    pub fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        sys::open_in_root(&self.fd, path, libc::O_PATH)
    }

    /// The directory at `path` inside, made with its parents if it is missing.
    pub fn ensure_dir(&self, path: &Path, mode: u32) -> Result<OwnedFd> {
        self.ensure_dir_io(path, mode).at("make the directory", path)
    }

    fn ensure_dir_io(&self, path: &Path, mode: u32) -> io::Result<OwnedFd> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match sys::open_in_root(&self.fd, path, flags) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            found => return found,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::EINVAL.into());
        };
        let parent_fd = self.ensure_dir_io(parent, 0o755)?;
        match mkdirat(&parent_fd, name, Mode::from_bits_truncate(mode)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        sys::open_in_root(&self.fd, path, flags)
    }

    /// The file at `path` inside, made empty if it is missing; a dangling link is followed to
    /// where it points.
    pub fn ensure_file(&self, path: &Path) -> Result<OwnedFd> {
        self.ensure_file_io(path).at("make the file", path)
    }

    fn ensure_file_io(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            match self.open(&path) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                found => return found,
            }
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { break };
            let parent_fd = self.ensure_dir_io(parent, 0o755)?;
            match readlinkat(&parent_fd, name) {
                Ok(link) => path = parent.join(link),
                Err(_) => {
                    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                    openat(&parent_fd, name, flags, Mode::from_bits_truncate(0o644))?;
                }
            }
        }
        Err(Errno::ELOOP.into())
    }

    /// Mounts a file system of the kernel at a directory inside.
    pub fn mount_fs(&self, fstype: &str, path: &Path, flags: MsFlags, data: &str) -> Result<()> {
        let target = self.ensure_dir(path, 0o755)?;
        let target = PathBuf::from(format!("/proc/self/fd/{}", target.as_raw_fd()));
        mount(Some(fstype), &target, Some(fstype), flags, Some(data))
            .at(&format!("mount {fstype} on"), path)
    }

    /// A tmpfs at a directory inside, with a mode.
    pub fn tmpfs(&self, path: &Path, mode: u32) -> Result<()> {
        let data = format!("mode={mode:o}");
        self.mount_fs("tmpfs", path, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, &data)
    }

    /// Puts a file or directory of the host on `target`, with more attributes.
    pub fn bind(&self, source: &Path, target: &OwnedFd, attributes: u64) -> Result<()> {
        let bind = || {
            let tree = sys::clone_tree(AT_FDCWD.as_fd(), source, true)?;
            sys::restrict(&tree, attributes, true)?;
            sys::attach(&tree, target)
        };
        bind().at("bind", source)
    }

    /// Makes what is at `path` inside read-only, by a mount of itself on itself.
    pub fn freeze(&self, path: &Path) -> Result<()> {
        let freeze = || {
            let target = match self.open(path) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
                found => found?,
            };
            let tree = sys::clone_tree(target.as_fd(), Path::new(""), true)?;
            sys::restrict(&tree, sys::RDONLY | sys::SAFE, true)?;
            sys::attach(&tree, &target)
        };
        freeze().at("make read-only", path)
    }

    /// Makes the mount whose root is at `path` inside read-only.
    pub fn seal(&self, path: &Path) -> Result<()> {
        let seal = || sys::restrict(self.open(path)?, sys::RDONLY, false);
        seal().at("make read-only", path)
    }

    /// Sets the mode of a directory inside past the umask.
    pub fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        let open = || sys::open_in_root(&self.fd, path, libc::O_RDONLY | libc::O_DIRECTORY);
        let dir = open().at("open", path)?;
        fchmod(&dir, Mode::from_bits_truncate(mode)).at("set the mode of", path)
    }
}
