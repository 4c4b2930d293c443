//! What a file of an overlay's upper folder carries beside its data: what a layer may hold of it, and the
//! kernel's own marks.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// The longest attribute, and the longest list of them, that Linux allows.
const LIMIT: usize = 64 << 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Attributes as records of an archive.
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether nothing of what is below shows through this folder.
    pub(super) hides_all: bool,
}

/// The marks of an open file or folder.
pub(super) fn of(file: BorrowedFd<'_>) -> io::Result<Marks> {
    let mut marks = Marks::default();
    for name in names(file)? {
        match name.to_bytes() {
            b"trusted.overlay.opaque" => marks.hides_all = value(file, &name)? == b"y",
            // Only whoever mounts the same layers knows where what these mean is.
            b"trusted.overlay.redirect" | b"trusted.overlay.metacopy" => {
                let what = "it is only a reference to the image (redirect_dir or metacopy)";
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            name_bytes if is_kept(name_bytes) => {
                let key = [b"SCHILY.xattr.", name_bytes].concat();
                marks.records.push((key, value(file, &name)?));
            }
            _ => {}
        }
    }
    Ok(marks)
}

/// What a layer may hold; `user.overlay.*` would be taken for marks.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

fn names(file: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut list = vec![0_u8; LIMIT];
    // SAFETY: the descriptor is open, and the kernel writes at most as many bytes as are told.
    let used = unsafe { libc::flistxattr(file.as_raw_fd(), list.as_mut_ptr().cast(), LIMIT) };
    let Ok(used) = usize::try_from(used) else {
        let error = io::Error::last_os_error();
        // A filesystem without attributes.
        return if error.raw_os_error() == Some(libc::ENOTSUP) {
            Ok(Vec::new())
        } else {
            Err(error)
        };
    };
    let names = list.get(..used).unwrap_or_default().split_inclusive(|byte| *byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect())
}

fn value(file: BorrowedFd<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = vec![0_u8; LIMIT];
    let into = value.as_mut_ptr().cast();
    // SAFETY: the descriptor is open, the name ends with a zero, and the kernel writes at most as many
    // bytes as are told.
    let used = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), into, LIMIT) };
    value.truncate(usize::try_from(used).map_err(|_| io::Error::last_os_error())?);
    Ok(value)
}
