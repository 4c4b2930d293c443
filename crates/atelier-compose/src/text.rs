//! Files of a project, read with care: in an environment somebody else may have put a device or a pipe in
//! their place, which would never end or never begin.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

/// The largest file that is read, in bytes.
pub(crate) const LIMIT: u64 = 4 << 20;

/// A regular file's contents.
///
/// # Errors
/// Those of opening it; `InvalidInput` for what is no regular file or larger than [`LIMIT`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe is opened without waiting for who writes to it.
    let file =
        File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    let meta = file.metadata()?;
    let mut contents = Vec::new();
    if meta.is_file() {
        // It may grow meanwhile.
        file.take(LIMIT + 1).read_to_end(&mut contents)?;
    }
    if !meta.is_file() || contents.len() as u64 > LIMIT {
        let message = "it is not a regular file of at most 4 MiB";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_never_ends_or_never_begins_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link, file) =
            (folder.path().join("p"), folder.path().join("l"), folder.path().join("f"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).unwrap();
        symlink("/dev/zero", &link).unwrap();
        std::fs::write(&file, "A=1\n").unwrap();
        for bad in [&pipe, &link, &folder.path().to_owned()] {
            assert_eq!(read(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
        assert_eq!(read(&file).unwrap(), b"A=1\n");
        File::create(&file).unwrap().set_len(LIMIT + 1).unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
