//! Files that belong to others: read whole, replaced whole, through the user's links, with a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use atelier_files::whole;

use crate::error::{AgentError, Result};
use crate::shape::digest;

/// The largest file that is read, in bytes. Claude Code's own grows to some megabytes.
pub(crate) const LARGEST: u64 = 32 << 20;
/// How many backups of a file are kept.
const BACKUPS: usize = 5;
/// How many links are followed, as Linux does it (path_resolution(7)).
const LINKS: usize = 40;

/// What a file was when it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Where it really is, behind all links.
    pub target: PathBuf,
    /// Its text; none where there is no file.
    text: Option<String>,
    /// Mode, owner and group.
    owner: Option<(u32, u32, u32)>,
}

impl Snapshot {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let target = behind_links(path)?;
        let metadata = match fs::metadata(&target) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { target, text: None, owner: None });
            }
            Err(e) => return Err(AgentError::file("read", &target, e)),
        };
        if !metadata.is_file() {
            return Err(AgentError::Unfit { path: target, why: "is no ordinary file" });
        }
        let text = read_whole(&target)?;
        let owner = Some((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()));
        Ok(Self { target, text: Some(text), owner })
    }

    /// Its text without a byte order mark; an empty one where there is no file.
    pub fn text(&self) -> &str {
        let text = self.text.as_deref().unwrap_or_default();
        text.strip_prefix('\u{feff}').unwrap_or(text)
    }

    /// Whether there is a file.
    pub fn exists(&self) -> bool {
        self.text.is_some()
    }

    /// Puts another text in its place, or `false` when the file is no longer what was read.
    pub fn replace(&self, text: &str, fresh_mode: u32, backups: &Path) -> Result<bool> {
        let target = &self.target;
        if self.owner.is_some_and(|(mode, ..)| mode & 0o222 == 0) {
            return Err(AgentError::ReadOnly { path: target.clone() });
        }
        let failed = |e| AgentError::file("written", target, e);
        let fresh = self.beside(text, fresh_mode)?;
        if let Some(old) = &self.text {
            backup(backups, target, old)?;
        }
        if !self.is_current()? {
            return Ok(false);
        }
        match self.exists() {
            true => fresh.persist(target).map_err(|e| failed(e.error))?,
            false => match fresh.persist_noclobber(target) {
                Ok(file) => file,
                Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                Err(e) => return Err(failed(e.error)),
            },
        };
        sync_folder(target.parent().unwrap_or(Path::new("/")));
        Ok(true)
    }

    /// The new file, whole and on the disk, beside the old one.
    fn beside(&self, text: &str, fresh_mode: u32) -> Result<tempfile::NamedTempFile> {
        let target = &self.target;
        let failed = |e| AgentError::file("written", target, e);
        let folder = target.parent().unwrap_or(Path::new("/"));
        make_folders(folder, if fresh_mode & 0o077 == 0 { 0o700 } else { 0o777 })?;
        let mut fresh = tempfile::Builder::new()
            .prefix(&fresh_prefix(target))
            .permissions(fs::Permissions::from_mode(self.owner.map_or(fresh_mode, |(m, ..)| m)))
            .tempfile_in(folder)
            .map_err(failed)?;
        let bom = self.text.as_deref().is_some_and(|old| old.starts_with('\u{feff}'));
        fresh.write_all(if bom { "\u{feff}" } else { "" }.as_bytes()).map_err(failed)?;
        fresh.write_all(text.as_bytes()).map_err(failed)?;
        if let Some((mode, uid, gid)) = self.owner {
            let file = fresh.as_file();
            let own = file.metadata().map_err(failed)?;
            if (own.uid(), own.gid()) != (uid, gid) {
                // Only root can give files away; another's file in our folder becomes ours.
                let _ = std::os::unix::fs::fchown(file, Some(uid), Some(gid));
            }
            // Set again: the process's mask does not count, and a change of owner takes bits away.
            file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        fresh.as_file().sync_all().map_err(failed)?;
        Ok(fresh)
    }

    /// Removes the file, or `false` when it is no longer what was read.
    pub fn remove(&self, backups: &Path) -> Result<bool> {
        if let Some(old) = &self.text {
            backup(backups, &self.target, old)?;
        }
        if !self.is_current()? {
            return Ok(false);
        }
        fs::remove_file(&self.target).map_err(|e| AgentError::file("removed", &self.target, e))?;
        sync_folder(self.target.parent().unwrap_or(Path::new("/")));
        Ok(true)
    }

    fn is_current(&self) -> Result<bool> {
        match fs::symlink_metadata(&self.target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(self.text.is_none()),
            Err(e) => Err(AgentError::file("read", &self.target, e)),
            Ok(metadata) if !metadata.is_file() => Ok(false),
            Ok(_) => Ok(Some(read_whole(&self.target)?) == self.text),
        }
    }
}

/// How the files begin that are renamed to a file in the end.
fn fresh_prefix(target: &Path) -> String {
    format!(".{}.atelier-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what a killed run left beside a file.
pub(crate) fn clear_leftovers(path: &Path) {
    let Ok(target) = behind_links(path) else { return };
    let prefix = fresh_prefix(&target);
    let entries = target.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Where a path leads, whether something is there or not.
pub(crate) fn behind_links(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("/")).join(to),
            // No link, or nothing at all. The folders above may be links; the kernel follows those.
            Err(_) => return Ok(path),
        }
    }
    Err(AgentError::Unfit { path, why: "is a link that leads to itself" })
}

fn read_whole(path: &Path) -> Result<String> {
    let failed = |e| AgentError::file("read", path, e);
    // Not to wait where somebody put a pipe in its place meanwhile.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(failed)?;
    let unfit = |why| AgentError::Unfit { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(unfit("is larger than 32 MiB, which no agent's file is"));
    }
    String::from_utf8(bytes).map_err(|_| unfit("is not text in UTF-8"))
}

/// Keeps what a file was, and the newest few of those before.
fn backup(folder: &Path, file: &Path, text: &str) -> Result<()> {
    let failed = |e| AgentError::file("backed up", file, e);
    make_folders(folder, 0o700)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The same name in two folders is two files.
    let prefix =
        format!("{}-{}-", name.trim_start_matches('.'), &digest(&file.to_string_lossy())[..8]);
    let mut older: Vec<_> = fs::read_dir(folder)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    older.sort();
    if let Some(last) = older.last()
        && fs::read_to_string(folder.join(last)).is_ok_and(|last| last == text)
    {
        return Ok(());
    }
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.9fZ");
    write_private(&folder.join(format!("{prefix}{now}")), text.as_bytes())?;
    for name in older.iter().rev().skip(BACKUPS - 1) {
        let _ = fs::remove_file(folder.join(name));
    }
    Ok(())
}

/// Writes a file of our own, for the user alone (0600), at once or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| AgentError::file("written", path, e);
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folders(folder, 0o700)?;
    whole::replace(path, bytes, whole::PRIVATE).map_err(failed)
}

pub(crate) fn make_folders(folder: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .map_err(|e| AgentError::file("made", folder, e))
}

/// Makes a rename last. Some file systems cannot; they have done all they do by then.
pub(crate) fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
