//! Extended attributes.

use std::os::fd::AsFd;

use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::{Errno, Result};

/// The longest attribute, and the longest list of them, that Linux allows.
const LIMIT: usize = 64 * 1024;

/// The attributes of an open file, names with values; none where the filesystem has none.
///
/// # Errors
/// The kernel's.
pub fn xattrs(fd: impl AsFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = vec![0; LIMIT];
    let used = match flistxattr(fd.as_fd(), list.as_mut_slice()) {
        Ok(used) => used,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => 0,
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in list[..used].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0; LIMIT];
        if let Ok(n) = fgetxattr(fd.as_fd(), name, value.as_mut_slice()) {
            value.truncate(n);
            found.push((name.to_vec(), value));
        }
    }
    Ok(found)
}
