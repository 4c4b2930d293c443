//! Connects to a Unix socket whose path may be longer than an address can hold.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tokio::net::UnixStream;

/// `sun_path` holds 108 bytes, the last of which is zero.
const LONGEST: usize = 107;

/// Connects; a long path goes by way of its folder's descriptor.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return UnixStream::connect(path).await;
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a socket's path needs a name");
    let (folder, name) =
        (path.parent().ok_or_else(invalid)?, path.file_name().ok_or_else(invalid)?);
    // Reading a folder is more than is needed, and O_PATH has no safe name in std: whoever may
    // connect to a socket of ours may read its folder.
    let folder = std::fs::File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}
