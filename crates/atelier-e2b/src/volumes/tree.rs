//! The files of one volume as seen from outside. Sandboxes write there what they like, links above
//! all: no path leads out of the volume (`RESOLVE_IN_ROOT`), and nothing is opened that would wait.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{
    AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat2, readlinkat, renameat2,
};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use serde::Serialize;
use uuid::Uuid;

/// The most entries of one answer.
const MOST: usize = 100_000;

/// Why something can't be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("path {0} not found")]
    Missing(String),
    #[error("path {0} already exists")]
    Exists(String),
    #[error("path {path} is not {wanted}")]
    Kind { path: String, wanted: &'static str },
    #[error("path {path} can't be used: {why}")]
    Unusable { path: String, why: String },
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
}

type Done<T> = Result<T, Failure>;

/// What a file is to have; what is absent stays, or is the usual.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mode: Option<u32>,
}

/// `VolumeEntryStat`.
#[derive(Debug, Serialize)]
pub(super) struct Stat {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    path: String,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    atime: Timestamp,
    mtime: Timestamp,
    ctime: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// A file that is being written, beside the place where it is to be. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct New {
    parent: OwnedFd,
    draft: String,
    name: String,
    path: String,
    kept: bool,
}

impl New {
    /// The file, to be written.
    pub(super) fn file(&self) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).mode(Mode::from_bits_truncate(0o600));
        let how = how.resolve(ResolveFlag::RESOLVE_BENEATH);
        Ok(openat2(&self.parent, self.draft.as_str(), how)?.into())
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if !self.kept {
            let _ = unlinkat(&self.parent, self.draft.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// A volume's files.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// What is at a path; a link is itself.
    pub(super) fn stat(&self, path: &str) -> Done<Stat> {
        let path = normal(path)?;
        stat_of(&self.look(&path)?, &path)
    }

    /// Gives what is at a path other owners or another mode.
    pub(super) fn change(&self, path: &str, to: &Attributes) -> Done<Stat> {
        let path = normal(path)?;
        let found = self.look(&path)?;
        apply(&found, to, &path)?;
        stat_of(&found, &path)
    }

    /// Removes a file or a folder with everything in it.
    pub(super) fn remove(&self, path: &str) -> Done<()> {
        let path = normal(path)?;
        let (parent, name) = self.parent(&path)?;
        let found = self.look(&path)?;
        let is_dir = meta(&found, &path)?.is_dir();
        let done = if is_dir {
            // Folders that are exchanged for links meanwhile are not followed.
            fs::remove_dir_all(through(&parent).join(&name))
        } else {
            unlinkat(&parent, name.as_str(), UnlinkatFlags::NoRemoveDir).map_err(io::Error::from)
        };
        done.map_err(|error| of_io(error, &path))
    }

    /// What is in a folder, and below it as deep as is asked; links to folders are not entered.
    pub(super) fn list(&self, path: &str, depth: u32) -> Done<Vec<Stat>> {
        let path = normal(path)?;
        let mut found = Vec::new();
        self.collect(&path, depth, &mut found)?;
        Ok(found)
    }

    fn collect(&self, path: &str, depth: u32, found: &mut Vec<Stat>) -> Done<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = self.open(path, flags)?;
        let entries = fs::read_dir(through(&folder)).map_err(|error| of_io(error, path))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let Some(name) = name.to_str() else { continue };
            let below = format!("{}/{name}", path.trim_end_matches('/'));
            // What goes meanwhile is not there.
            let Ok(stat) = self.look(&below).and_then(|fd| stat_of(&fd, &below)) else { continue };
            if found.len() >= MOST {
                let why = format!("there are more than {MOST} entries below it");
                return Err(Failure::Unusable { path: path.to_owned(), why });
            }
            let deeper = stat.kind == "directory" && depth > 1;
            found.push(stat);
            if deeper
                && let Err(Failure::Io { path, error }) = self.collect(&below, depth - 1, found)
            {
                return Err(Failure::Io { path, error });
            }
        }
        Ok(())
    }

    /// Makes a folder; with `parents` those above as well, and one that is there already is fine.
    pub(super) fn make_folder(&self, path: &str, to: &Attributes, parents: bool) -> Done<Stat> {
        let path = normal(path)?;
        if let Ok(there) = self.look(&path) {
            return match parents && meta(&there, &path)?.is_dir() {
                true => stat_of(&there, &path),
                false => Err(Failure::Exists(path)),
            };
        }
        if parents && let Some(above) = Path::new(&path).parent().and_then(Path::to_str) {
            self.make_folder(above, to, true)?;
        }
        let (parent, name) = self.parent(&path)?;
        mkdirat(&parent, name.as_str(), Mode::from_bits_truncate(0o755))
            .map_err(|error| of_errno(error, &path))?;
        let made = self.look(&path)?;
        let mode = to.mode.or(Some(0o755));
        apply(&made, &Attributes { mode, uid: to.uid, gid: to.gid }, &path)?;
        stat_of(&made, &path)
    }

    /// A file's bytes.
    pub(super) fn read(&self, path: &str) -> Done<File> {
        let path = normal(path)?;
        let found = self.look_through(&path)?;
        if !meta(&found, &path)?.is_file() {
            return Err(Failure::Missing(path));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file: File = self.open(&path, flags)?.into();
        // Another one may lie there by now.
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        if is_file { Ok(file) } else { Err(Failure::Missing(path)) }
    }

    /// A new file; with `over` it may replace one.
    pub(super) fn begin(&self, path: &str, over: bool) -> Done<New> {
        let path = normal(path)?;
        let (parent, name) = self.parent(&path)?;
        if let Ok(there) = self.look(&path) {
            let is_dir = meta(&there, &path)?.is_dir();
            if is_dir {
                return Err(Failure::Kind { path, wanted: "a file" });
            }
            if !over {
                return Err(Failure::Exists(path));
            }
        }
        let draft = format!(".{}.part", Uuid::now_v7());
        Ok(New { parent, draft, name, path, kept: false })
    }

    /// Puts a new file into its place, at once.
    pub(super) fn finish(&self, mut new: New, to: &Attributes, over: bool) -> Done<Stat> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_BENEATH);
        let draft = openat2(&new.parent, new.draft.as_str(), how)
            .map_err(|error| of_errno(error, &new.path))?;
        let mode = to.mode.or(Some(0o644));
        apply(&draft, &Attributes { mode, uid: to.uid, gid: to.gid }, &new.path)?;
        let how = if over { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
        renameat2(&new.parent, new.draft.as_str(), &new.parent, new.name.as_str(), how)
            .map_err(|error| of_errno(error, &new.path))?;
        new.kept = true;
        stat_of(&draft, &new.path)
    }

    fn look(&self, path: &str) -> Done<OwnedFd> {
        self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
    }

    fn look_through(&self, path: &str) -> Done<OwnedFd> {
        self.open(path, OFlag::O_PATH | OFlag::O_CLOEXEC)
    }

    fn open(&self, path: &str, flags: OFlag) -> Done<OwnedFd> {
        let root = File::open(&self.root).map_err(|error| of_io(error, path))?;
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let inside = path.trim_start_matches('/');
        let inside = if inside.is_empty() { "." } else { inside };
        openat2(root.as_fd(), inside, how).map_err(|error| of_errno(error, path))
    }

    /// The folder that holds a path, and the name there.
    fn parent(&self, path: &str) -> Done<(OwnedFd, String)> {
        let whole = Path::new(path);
        let name = whole.file_name().and_then(|name| name.to_str());
        let (Some(above), Some(name)) = (whole.parent().and_then(Path::to_str), name) else {
            let why = "it is the volume itself".to_owned();
            return Err(Failure::Unusable { path: path.to_owned(), why });
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok((self.open(above, flags)?, name.to_owned()))
    }
}

/// An absolute path without detours.
fn normal(path: &str) -> Done<String> {
    let parts = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_str().map(str::to_owned)),
        Component::ParentDir => Some(None),
        _ => None,
    });
    let unusable = || {
        let why = "it has a part that can't be used".to_owned();
        Failure::Unusable { path: path.to_owned(), why }
    };
    let parts: Option<Vec<String>> = parts.collect();
    let parts = parts.filter(|_| !path.contains('\0')).ok_or_else(unusable)?;
    Ok(format!("/{}", parts.join("/")))
}

/// The name that leads to what is open.
fn through(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn meta(fd: &OwnedFd, path: &str) -> Done<fs::Metadata> {
    let copy = fd.try_clone().map_err(|error| of_io(error, path))?;
    File::from(copy).metadata().map_err(|error| of_io(error, path))
}

fn apply(fd: &OwnedFd, to: &Attributes, path: &str) -> Done<()> {
    let (uid, gid) = (to.uid.map(owner), to.gid.map(group));
    if uid.is_some() || gid.is_some() {
        fchownat(fd, "", uid, gid, AtFlags::AT_EMPTY_PATH).map_err(|error| match error {
            Errno::EPERM => Failure::Unusable {
                path: path.to_owned(),
                why: "only the control plane of root gives files other owners".to_owned(),
            },
            other => of_errno(other, path),
        })?;
    }
    let Some(mode) = to.mode else { return Ok(()) };
    if meta(fd, path)?.is_symlink() {
        return Ok(()); // a link has none
    }
    fs::set_permissions(through(fd), Permissions::from_mode(mode & 0o7777))
        .map_err(|error| of_io(error, path))
}

/// Root inside is whom the control plane runs as.
fn owner(uid: u32) -> Uid {
    if uid == 0 { nix::unistd::geteuid() } else { Uid::from_raw(uid) }
}

fn group(gid: u32) -> Gid {
    if gid == 0 { nix::unistd::getegid() } else { Gid::from_raw(gid) }
}

fn stat_of(fd: &OwnedFd, path: &str) -> Done<Stat> {
    let meta = meta(fd, path)?;
    let kind = meta.file_type();
    let target = kind.is_symlink().then(|| readlinkat(fd, "").ok()).flatten();
    let time = |seconds: i64, nanos: i64| {
        Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)).unwrap_or_default()
    };
    let inside = |id: u32, own: u32| if id == own { 0 } else { id };
    Ok(Stat {
        name: Path::new(path).file_name().and_then(|n| n.to_str()).unwrap_or("/").to_owned(),
        kind: match kind {
            kind if kind.is_file() => "file",
            kind if kind.is_dir() => "directory",
            kind if kind.is_symlink() => "symlink",
            kind if kind.is_fifo() || kind.is_socket() => "unknown",
            _ => "unknown",
        },
        path: path.to_owned(),
        size: meta.len(),
        mode: meta.mode() & 0o7777,
        uid: inside(meta.uid(), nix::unistd::geteuid().as_raw()),
        gid: inside(meta.gid(), nix::unistd::getegid().as_raw()),
        atime: time(meta.atime(), meta.atime_nsec()),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        target: target.map(|target| target.to_string_lossy().into_owned()),
    })
}

fn of_errno(error: Errno, path: &str) -> Failure {
    of_io(error.into(), path)
}

fn of_io(error: io::Error, path: &str) -> Failure {
    let path = path.to_owned();
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ELOOP) => Failure::Missing(path),
        Some(Errno::ENOTDIR) => Failure::Kind { path, wanted: "in a folder" },
        Some(Errno::EEXIST | Errno::ENOTEMPTY) => Failure::Exists(path),
        Some(Errno::EISDIR) => Failure::Kind { path, wanted: "a file" },
        Some(Errno::ENAMETOOLONG) => Failure::Unusable { path, why: "it is too long".to_owned() },
        _ => Failure::Io { path, error },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(tree: &Tree, path: &str, text: &str, over: bool) -> Done<Stat> {
        let new = tree.begin(path, over)?;
        new.file().unwrap().write_all(text.as_bytes()).unwrap();
        tree.finish(new, &Attributes::default(), over)
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.list("/", 9).unwrap().into_iter().map(|stat| stat.path).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path().to_owned());
        let new = tree.begin("/half", false).unwrap();
        new.file().unwrap().write_all(b"ha").unwrap();
        drop(new);
        assert!(names(&tree).is_empty(), "what broke off leaves nothing");
        let made = write(&tree, "note", "text", false).unwrap();
        assert_eq!(
            (made.path.as_str(), made.kind, made.size, made.mode),
            ("/note", "file", 4, 0o644)
        );
        assert!(matches!(write(&tree, "/note", "other", false), Err(Failure::Exists(_))));
        assert_eq!(write(&tree, "/note", "longer", true).unwrap().size, 6);
        assert!(matches!(write(&tree, "/none/note", "x", true), Err(Failure::Missing(_))));
        assert_eq!(names(&tree), ["/note"]);
    }

    #[test]
    fn folders_are_made_with_those_above_when_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path().to_owned());
        let usual = Attributes::default();
        assert!(matches!(tree.make_folder("/a/b", &usual, false), Err(Failure::Missing(_))));
        assert_eq!(tree.make_folder("/a/b", &usual, true).unwrap().kind, "directory");
        assert!(matches!(tree.make_folder("/a/b", &usual, false), Err(Failure::Exists(_))));
        tree.make_folder("/a/b", &usual, true).unwrap();
        write(&tree, "/a/b/file", "", false).unwrap();
        assert!(matches!(tree.begin("/a/b", true), Err(Failure::Kind { .. })));
        assert_eq!(tree.list("/", 1).unwrap().len(), 1);
        assert_eq!(names(&tree), ["/a", "/a/b", "/a/b/file"]);
        tree.remove("/a").unwrap();
        assert!(matches!(tree.stat("/a"), Err(Failure::Missing(_))));
    }

    #[test]
    fn no_path_and_no_link_leads_out() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tree = Tree::new(dir.path().to_owned());
        fs::write(outside.path().join("own"), "outside").unwrap();
        symlink(outside.path(), dir.path().join("away")).unwrap();
        symlink(outside.path().join("own"), dir.path().join("file")).unwrap();
        for path in ["/away/own", "/file"] {
            assert!(matches!(tree.read(path), Err(Failure::Missing(_))), "{path}");
        }
        assert!(tree.begin("/away/new", true).is_err());
        assert!(tree.make_folder("/away/new", &Attributes::default(), true).is_err());
        for path in ["/..", "/a/../b", "a/..", "/a\0b"] {
            assert!(matches!(tree.stat(path), Err(Failure::Unusable { .. })), "{path:?}");
        }
        assert!(matches!(tree.remove("/"), Err(Failure::Unusable { .. })), "nor the volume itself");
        write(&tree, "/file", "inside", true).unwrap();
        tree.change("/away", &Attributes { mode: Some(0o777), ..Attributes::default() }).unwrap();
        tree.remove("/away").unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("own")).unwrap(), "outside");
        assert_eq!(names(&tree), ["/file"]);
    }
}
