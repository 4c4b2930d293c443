//! Where a machine's monitor runs: `machine` in the sandbox's folder, which is a folder, or a link to
//! the root of the machine's jail. All that the monitor opens is in there, under names that are the
//! same for every machine, since a copy goes on with the names of its origin.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use atelier_vm::VmError;
use atelier_vm::firecracker::{Firecracker, Jail, VSOCK};
use atelier_vm::layer::copy_sparse;
use nix::unistd::geteuid;

use super::users;
use crate::runtimes::outside::GUEST_PORT;
use crate::{Folders, Guest, SandboxError};

/// Said of a machine that has no jail.
const UNJAILED: &str = "Firecracker runs without its jailer, which only root can use: whoever gets \
    out of the machine has this user's rights";

/// A machine's place, fresh at each start.
pub(super) struct Place {
    firecracker: Firecracker,
    folder: PathBuf,
    jail: Option<Jail>,
    id: String,
}

/// The folder that the monitor runs in.
pub(super) fn machine(folders: &Folders) -> PathBuf {
    folders.root().join("machine")
}

/// The way into the guest.
pub(super) fn guest(folders: &Folders) -> Guest {
    Guest::vsock(machine(folders).join(VSOCK), u32::from(GUEST_PORT))
}

impl Place {
    /// Makes it, in place of the one of the last start: the jailer wants a jail without what it puts
    /// there, and a monitor its sockets' names free.
    pub(super) fn make(
        firecracker: &Firecracker,
        folders: &Folders,
        id: &str,
    ) -> Result<Self, SandboxError> {
        let (folder, jails) = (machine(folders), folders.root().join("jail"));
        for old in [&folder, &jails] {
            remove(old).map_err(SandboxError::io("removing", old))?;
        }
        let jail = match geteuid().is_root() {
            true => Some(jail(firecracker, folders.root(), &jails, id, &folder)?),
            false => {
                make_private(&folder)?;
                None
            }
        };
        Ok(Self { firecracker: firecracker.clone(), folder, jail, id: id.to_owned() })
    }

    /// The folder that the monitor runs in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command that starts the monitor, to be run in the folder.
    pub(super) fn command(&self) -> Vec<OsString> {
        match &self.jail {
            Some(jail) => jail.command(&self.firecracker),
            None => self.firecracker.command(&self.id),
        }
    }

    /// What its user should know.
    pub(super) fn note(&self) -> Option<String> {
        self.jail.is_none().then(|| UNJAILED.to_owned())
    }

    /// Puts a file there that the monitor only reads, and others too.
    pub(super) fn put(&self, file: &Path, name: &str) -> Result<(), SandboxError> {
        if let Some(jail) = &self.jail {
            return Ok(jail.put(&self.firecracker, file, name)?);
        }
        let to = self.folder.join(name);
        match fs::hard_link(file, &to) {
            Ok(()) => Ok(()),
            // Files of another user can't be linked, and none on another filesystem.
            Err(_) => Ok(copy_sparse(file, &to)?),
        }
    }

    /// Puts a file there that is this machine's alone.
    pub(super) fn lend(&self, file: &Path, name: &str) -> Result<(), SandboxError> {
        if let Some(jail) = &self.jail {
            return Ok(jail.lend(&self.firecracker, file, name)?);
        }
        let to = self.folder.join(name);
        fs::hard_link(file, &to).map_err(SandboxError::io("linking", to))
    }

    /// Makes an empty file that the monitor writes.
    pub(super) fn touch(&self, name: &str) -> Result<(), SandboxError> {
        if let Some(jail) = &self.jail {
            return Ok(jail.touch(&self.firecracker, name)?);
        }
        let to = self.folder.join(name);
        fs::File::create_new(&to).map(drop).map_err(SandboxError::io("making", to))
    }
}

fn jail(
    firecracker: &Firecracker,
    root: &Path,
    jails: &Path,
    id: &str,
    link: &Path,
) -> Result<Jail, SandboxError> {
    let user = users::claim(root).map_err(SandboxError::io("finding a user for", root))?;
    make_private(jails)?;
    let jail = Jail::new(None, id, (user, user), jails)?;
    let inside = jail.root(firecracker);
    make_private(&inside)?;
    let target = inside.strip_prefix(root).unwrap_or(&inside);
    symlink(target, link).map_err(SandboxError::io("linking", link))?;
    Ok(jail)
}

fn make_private(folder: &Path) -> Result<(), SandboxError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(SandboxError::io("making", folder))
}

/// Removes a link or a folder with everything in it.
fn remove(path: &Path) -> io::Result<()> {
    let done = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    done.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// A file of the sandbox's own, in place of what an earlier start may have left half-done.
pub(super) fn copy_anew(from: &Path, to: &Path) -> Result<(), VmError> {
    let _ = fs::remove_file(to);
    copy_sparse(from, to)
}
