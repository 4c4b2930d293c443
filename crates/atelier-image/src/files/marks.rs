//! The kernel's marks of overlay layers: whiteouts and opaque folders, and which extended
//! attributes a layer may carry.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, Stat, XattrFlags, fgetxattr, fsetxattr, makedev, mknodat};
use rustix::io::{Errno, Result};

/// Whether we are the superuser, who keeps owners and may make devices.
pub(crate) fn as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The mark of a folder that hides what lower layers have in it. Always the one of mounts with
/// `userxattr`, as the house mounts everything, so that a layer is the same for root and for users.
const OPAQUE: &str = "user.overlay.opaque";

/// Hides what lower layers have under this folder's name.
pub(crate) fn set_opaque(dir: impl AsFd) -> Result<()> {
    fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty())
}

/// Whether a folder hides what lower layers have.
pub(crate) fn is_opaque(dir: impl AsFd) -> bool {
    let mut value = [0; 2];
    fgetxattr(dir, OPAQUE, value.as_mut_slice()).is_ok_and(|n| n == 1 && value[0] == b'y')
}

/// Hides a name that lower layers have. Needs no privilege since Linux 5.8.
pub(crate) fn make_whiteout(dir: impl AsFd, name: &[u8]) -> Result<()> {
    mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
}

/// Whether this is a whiteout.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == makedev(0, 0)
}

/// What a file is.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether a layer from elsewhere may carry this attribute. The kernel's marks of overlay layers
/// would change what the layers below show.
pub(crate) fn may_arrive(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Whether a copy of one of our own layers keeps this attribute: what may arrive, the marks that
/// say what is shown, and the rest of `trusted.*` and access lists.
pub(crate) fn stays(name: &[u8]) -> bool {
    match name.strip_prefix(b"trusted.overlay.").or(name.strip_prefix(b"user.overlay.")) {
        Some(mark) => matches!(mark, b"opaque" | b"redirect" | b"metacopy"),
        None => !name.starts_with(b"security.selinux"),
    }
}

/// Sets an attribute; what this filesystem or user can't have is left out.
pub(crate) fn set_xattr(fd: impl AsFd, name: &[u8], value: &[u8]) -> Result<()> {
    match fsetxattr(fd, name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => Ok(()),
        result => result,
    }
}
