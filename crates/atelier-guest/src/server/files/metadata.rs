//! Metadata of files: headers `X-Metadata-KEY` on the way in, extended attributes `user.e2b.KEY`
//! on disk.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hyper::HeaderMap;

/// The prefix of the headers.
const HEADER: &str = "x-metadata-";
/// The prefix of the attributes.
const ATTRIBUTE: &str = "user.e2b.";
/// Linux's longest name of an attribute, without the prefix.
const LONGEST_KEY: usize = 255 - ATTRIBUTE.len();
/// All keys, with their prefix, and values of a file: what fits beside an inode of ext4.
const LONGEST: usize = 4096;

/// The metadata of a request, or why it cannot be kept.
pub(super) fn of_headers(headers: &HeaderMap) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    let mut total = 0;
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(HEADER).filter(|key| !key.is_empty()) else {
            continue;
        };
        if key.len() > LONGEST_KEY {
            return Err(format!("metadata key \"{key}\" exceeds {LONGEST_KEY} bytes"));
        }
        let value = headers.get(name).map_or(&b""[..], |value| value.as_bytes());
        if let Some(at) = value.iter().position(|byte| !(0x20..=0x7e).contains(byte)) {
            let byte = value[at];
            return Err(format!(
                "metadata value for key \"{key}\" contains non-printable-ASCII byte 0x{byte:02x} at offset {at}"
            ));
        }
        total += ATTRIBUTE.len() + key.len() + value.len();
        metadata.insert(key.to_owned(), String::from_utf8_lossy(value).into_owned());
    }
    if total > LONGEST {
        return Err(format!("total metadata size {total} exceeds {LONGEST} bytes"));
    }
    Ok(metadata)
}

/// The metadata of what is at a path. What cannot be read, or is not text, is left out.
pub(in super::super) fn read(path: &Path) -> BTreeMap<String, String> {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return BTreeMap::new() };
    let names = sized(|into, size| {
        // SAFETY: the path is a C string, and the kernel writes at most `size` bytes.
        unsafe { libc::listxattr(path.as_ptr(), into.cast(), size) }
    });
    names_of(&names.unwrap_or_default())
        .filter_map(|name| {
            let c_name = CString::new(name.as_str()).ok()?;
            let value = sized(|into, size| {
                // SAFETY: both are C strings, and the kernel writes at most `size` bytes.
                unsafe { libc::getxattr(path.as_ptr(), c_name.as_ptr(), into.cast(), size) }
            });
            let key = name.strip_prefix(ATTRIBUTE)?.to_owned();
            Some((key, String::from_utf8(value.ok()?).ok()?))
        })
        .collect()
}

/// Makes these the metadata of a file, and no others. A file system without attributes is fine.
pub(super) fn write(file: &File, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: the kernel writes at most `size` bytes.
    let names =
        sized(|into, size| unsafe { libc::flistxattr(fd, into.cast(), size) }).unwrap_or_default();
    for name in names_of(&names) {
        let key = name.strip_prefix(ATTRIBUTE).unwrap_or("");
        if let (false, Ok(name)) = (metadata.contains_key(key), CString::new(name.as_str())) {
            // SAFETY: the name is a C string.
            unsafe { libc::fremovexattr(fd, name.as_ptr()) };
        }
    }
    for (key, value) in metadata {
        let name = CString::new(format!("{ATTRIBUTE}{key}"))?;
        // SAFETY: the name is a C string; pointer and length are those of one slice.
        let set =
            unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        if set < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::EOPNOTSUPP) {
                Ok(())
            } else {
                Err(error)
            };
        }
    }
    Ok(())
}

/// Asks for something whose size is not known: first for the size, then for the bytes.
fn sized(ask: impl Fn(*mut u8, usize) -> isize) -> io::Result<Vec<u8>> {
    let result = |size: isize| usize::try_from(size).map_err(|_| io::Error::last_os_error());
    let size = result(ask(std::ptr::null_mut(), 0))?;
    let mut bytes = vec![0; size];
    if size > 0 {
        let written = result(ask(bytes.as_mut_ptr(), size))?;
        bytes.truncate(written);
    }
    Ok(bytes)
}

/// Those of ours in a list of names that each end with a zero.
fn names_of(list: &[u8]) -> impl Iterator<Item = String> + '_ {
    list.split(|byte| *byte == 0)
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .filter(|name| name.starts_with(ATTRIBUTE))
}
