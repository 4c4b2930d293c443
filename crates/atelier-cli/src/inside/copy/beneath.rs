//! Writing below one folder of this machine, whatever the names say: no name leads out of it, and
//! no symlink is followed on the way, whoever made it. What is in the way of a file is replaced,
//! never written through.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, linkat, mkdirat, openat,
    statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

/// Flags for opening a folder.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Flags for making a file: it must be new.
const FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The folder, and the one in it that was used last: files come folder by folder.
#[derive(Debug)]
pub(super) struct Root {
    root: OwnedFd,
    last: Option<(Vec<u8>, OwnedFd)>,
}

/// What is kept of a file besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: Option<i64>,
}

/// The parts of a name that came from a sandbox. None lead anywhere else than down.
pub(super) fn parts(name: &[u8]) -> io::Result<Vec<&[u8]>> {
    let outside = || {
        let shown = String::from_utf8_lossy(name).into_owned();
        let why = format!("the sandbox sent the name {shown:?}, which leads out of the copy");
        io::Error::new(io::ErrorKind::InvalidData, why)
    };
    if name.starts_with(b"/") || name.contains(&0) {
        return Err(outside());
    }
    let parts: Vec<_> =
        name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.contains(&&b".."[..]) { Err(outside()) } else { Ok(parts) }
}

impl Root {
    /// The folder that the user named; it is made when it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = FOLDER.difference(OFlags::NOFOLLOW);
        Ok(Self { root: openat(CWD, path, flags, Mode::empty())?, last: None })
    }

    /// Another handle to the same folder.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { root: self.root.try_clone()?, last: None })
    }

    /// Makes a folder unless it is there.
    pub(super) fn folder(&mut self, name: &[u8]) -> io::Result<()> {
        self.reach(&parts(name)?).map(drop)
    }

    /// Makes a new file, in the place of whatever had its name.
    pub(super) fn file(&mut self, name: &[u8]) -> io::Result<File> {
        let (folder, name) = self.place(name)?;
        match openat(folder, name, FILE, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => {
                clear(folder, name)?;
                Ok(openat(folder, name, FILE, Mode::from_raw_mode(0o600))?.into())
            }
            other => Ok(other?.into()),
        }
    }

    /// Makes a symlink, wherever it leads: nothing here follows it.
    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> io::Result<()> {
        let (folder, name) = self.place(name)?;
        clear(folder, name)?;
        Ok(symlinkat(OsStr::from_bytes(target), folder, name)?)
    }

    /// Gives what is at `old` below the folder another name.
    pub(super) fn hard_link(&mut self, name: &[u8], old: &[u8]) -> io::Result<()> {
        let (folder, old) = self.place(old)?;
        let folder = folder.try_clone()?;
        let (new_folder, name) = self.place(name)?;
        if same(&folder, old, new_folder, name) {
            return Ok(());
        }
        clear(new_folder, name)?;
        Ok(linkat(folder, old, new_folder, name, AtFlags::empty())?)
    }

    /// Sets what is kept of a folder, once all is in it.
    pub(super) fn keep_folder(&mut self, name: &[u8], kept: Kept) -> io::Result<()> {
        let folder = self.reach(&parts(name)?)?;
        keep(folder, kept)
    }

    /// Sets when a symlink was made.
    pub(super) fn keep_symlink(&mut self, name: &[u8], kept: Kept) -> io::Result<()> {
        let Some(times) = kept.modified.map(times) else { return Ok(()) };
        let (folder, name) = self.place(name)?;
        Ok(utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// A name's folder, which is made when it is not there, and its last part.
    fn place<'n>(&mut self, name: &'n [u8]) -> io::Result<(&OwnedFd, &'n OsStr)> {
        let all = parts(name)?;
        let Some((last, above)) = all.split_last() else {
            let why = "the sandbox sent a file without a name";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        Ok((self.reach(above)?, OsStr::from_bytes(last)))
    }

    /// Opens a folder, part by part, and makes what is not there.
    fn reach(&mut self, parts: &[&[u8]]) -> io::Result<&OwnedFd> {
        let path = parts.join(&b'/');
        if parts.is_empty() {
            return Ok(&self.root);
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != path) {
            let mut here = enter(&self.root, parts[0])?;
            for part in &parts[1..] {
                here = enter(&here, part)?;
            }
            self.last = Some((path, here));
        }
        self.last.as_ref().map(|(_, folder)| folder).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn enter(folder: &OwnedFd, part: &[u8]) -> io::Result<OwnedFd> {
    let part = OsStr::from_bytes(part);
    let opened = match openat(folder, part, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {
            match mkdirat(folder, part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            openat(folder, part, FOLDER, Mode::empty())
        }
        other => other,
    };
    opened.map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is in the way: it is no folder, and is not followed", part.display()),
        ),
        other => other.into(),
    })
}

/// Takes away what has a name, unless it is a folder.
fn clear(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            format!("{} is a folder, and something else is to be written there", name.display()),
        )),
        Err(error) => Err(error.into()),
    }
}

fn same(folder: &OwnedFd, name: &OsStr, other_folder: &OwnedFd, other: &OsStr) -> bool {
    let look = |folder, name| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    match (look(folder, name), look(other_folder, other)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// Sets what is kept. Bits that would let others run it as this user are not: a sandbox set them.
pub(super) fn keep(file: impl AsFd, kept: Kept) -> io::Result<()> {
    fchmod(&file, Mode::from_raw_mode(kept.mode & 0o777))?;
    if let Some(times) = kept.modified.map(times) {
        futimens(&file, &times)?;
    }
    Ok(())
}

fn times(seconds: i64) -> Timestamps {
    let then = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: then, last_modification: then }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn names_lead_down_only() {
        assert_eq!(parts(b"./a//b/").unwrap(), [b"a", b"b"]);
        assert!(parts(b"").unwrap().is_empty());
        for bad in [&b"/etc/passwd"[..], b"../x", b"a/../../x", b"a/..", b"a\0b"] {
            assert!(parts(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_symlink_is_replaced_and_never_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, copy) = (dir.path().join("outside"), dir.path().join("copy"));
        fs::write(&outside, "mine").unwrap();
        fs::create_dir(&copy).unwrap();
        symlink(&outside, copy.join("f")).unwrap();
        let mut root = Root::open(&copy).unwrap();
        io::Write::write_all(&mut root.file(b"f").unwrap(), b"theirs").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
        assert_eq!(fs::read_to_string(copy.join("f")).unwrap(), "theirs");
    }

    #[test]
    fn no_symlink_is_followed_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, copy) = (dir.path().join("outside"), dir.path().join("copy"));
        fs::create_dir(&outside).unwrap();
        let mut root = Root::open(&copy).unwrap();
        root.symlink(b"d", outside.as_os_str().as_bytes()).unwrap();
        assert!(root.file(b"d/f").is_err());
        assert!(root.folder(b"d/g").is_err());
        assert!(root.symlink(b"d/h", b"x").is_err());
        fs::write(copy.join("own"), "").unwrap();
        assert!(root.hard_link(b"d/i", b"own").is_err());
        assert!(root.hard_link(b"j", b"d/k").is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_hard_link_to_a_symlink_is_the_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let mut root = Root::open(dir.path()).unwrap();
        root.symlink(b"link", b"/etc/passwd").unwrap();
        root.hard_link(b"again", b"link").unwrap();
        assert!(fs::symlink_metadata(dir.path().join("again")).unwrap().is_symlink());
        // And a file of that name takes its place, not that of what it leads to.
        root.file(b"again").unwrap();
        assert!(fs::symlink_metadata(dir.path().join("again")).unwrap().is_file());
    }

    #[test]
    fn a_sandbox_makes_nothing_that_runs_as_somebody_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut root = Root::open(dir.path()).unwrap();
        let file = root.file(b"tool").unwrap();
        keep(&file, Kept { mode: 0o6755, modified: Some(7) }).unwrap();
        let found = fs::metadata(dir.path().join("tool")).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, 0o755);
        assert_eq!(std::os::unix::fs::MetadataExt::mtime(&found), 7);
    }
}
