//! Files below a root folder: read with what must be restored, replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fault;
use crate::error::{Error, Result};

/// The mode of files that were not there before.
const MODE: u32 = 0o644;
/// More links than this lead nowhere.
const MOST_LINKS: usize = 16;

/// What a file holds; readable in the state file where it is text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Content(pub Vec<u8>);

impl Content {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { base64: String },
}

impl From<Written> for Content {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self(text.into_bytes()),
            Written::Bytes { base64 } => Self(STANDARD.decode(base64).unwrap_or_default()),
        }
    }
}

impl From<Content> for Written {
    fn from(content: Content) -> Self {
        match String::from_utf8(content.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes { base64: STANDARD.encode(error.as_bytes()) },
        }
    }
}

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Original {
    /// What it held.
    pub content: Content,
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Where a path of the system is, seen from here.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The file that a path leads to through links, as the system itself would see it from its root.
pub(super) fn follow(root: &Path, path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(below(root, &path)) else { break };
        path = plain(&path.parent().unwrap_or(Path::new("/")).join(target));
    }
    path
}

/// Without `..`: the parent of a folder in `/etc` or `/run` is what its name says.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

/// A file, or none where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Original>> {
    let content = match fs::read(path) {
        Ok(content) => Content(content),
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let meta = fs::metadata(path).map_err(Error::file("look at", path))?;
    let mode = meta.permissions().mode() & 0o7777;
    Ok(Some(Original { content, mode, uid: meta.uid(), gid: meta.gid() }))
}

/// Puts a file in the place of what is there. `like`: with the owner and permissions of this one.
pub(super) fn replace(path: &Path, content: &[u8], like: Option<&Original>) -> Result<()> {
    let new = beside(path);
    fault::moment()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .custom_flags(no_follow())
        .open(&new)
        .map_err(Error::file("write", &new))?;
    fault::moment()?;
    fill(&mut file, path, content, like).map_err(Error::file("write", &new))?;
    fault::moment()?;
    match fs::rename(&new, path) {
        // A file that is mounted by itself, as containers have, can't be replaced, only filled.
        Err(error) if error.raw_os_error() == Some(BUSY) => {
            fault::moment()?;
            fs::write(path, content).map_err(Error::file("write", path))?;
            fs::remove_file(&new).map_err(Error::file("remove", &new))?;
        }
        renamed => renamed.map_err(Error::file("replace", path))?,
    }
    fault::moment()?;
    sync_folder(path)
}

/// Linux and macOS agree on this one.
const BUSY: i32 = 16;

fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

fn fill(file: &mut File, path: &Path, content: &[u8], like: Option<&Original>) -> io::Result<()> {
    file.write_all(content)?;
    let mode = like.map_or(MODE, |original| original.mode);
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    if let Some(original) = like {
        let meta = file.metadata()?;
        if (meta.uid(), meta.gid()) != (original.uid, original.gid) {
            fchown(&*file, Some(original.uid), Some(original.gid))?;
        }
    }
    keep_label(path, file);
    file.sync_all()
}

/// SELinux knows files by labels, and a resolver may be kept from one without. Best effort: most
/// systems have none.
#[cfg(target_os = "linux")]
fn keep_label(path: &Path, file: &File) {
    const LABEL: &str = "security.selinux";
    let mut label = [0; 1024];
    if let Ok(length) = rustix::fs::getxattr(path, LABEL, &mut label) {
        let flags = rustix::fs::XattrFlags::empty();
        let _ = rustix::fs::fsetxattr(file, LABEL, &label[..length], flags);
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_label(_: &Path, _: &File) {}

/// Removes a file, if there is one, and what [`replace`] may have left beside it.
pub(super) fn delete(path: &Path) -> Result<()> {
    delete_beside(path)?;
    fault::moment()?;
    gone(fs::remove_file(path)).map_err(Error::file("remove", path))?;
    fault::moment()?;
    sync_folder(path)
}

/// Removes what an ended [`replace`] may have left.
pub(super) fn delete_beside(path: &Path) -> Result<()> {
    let new = beside(path);
    fault::moment()?;
    gone(fs::remove_file(&new)).map_err(Error::file("remove", &new))
}

/// Removes a folder that has nothing in it.
pub(super) fn delete_folder(path: &Path) -> Result<()> {
    fault::moment()?;
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => gone(removed).map_err(Error::file("remove", path)),
    }
}

/// Makes a folder that others may read.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fault::moment()?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(Error::file("make", path)),
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.atelier-new"))
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    match File::open(folder) {
        Ok(open) => open.sync_all().map_err(Error::file("write", folder)),
        // What was to be removed may be gone with its folder.
        Err(error) if absent(&error) => Ok(()),
        Err(error) => Err(Error::file("open", folder)(error)),
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if absent(&error) => Ok(()),
        other => other,
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
