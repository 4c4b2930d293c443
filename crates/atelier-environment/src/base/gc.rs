//! Removing generations that no environment stands on, and what a killed process left half done.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::Serialize;

use super::store::{NEW, OLD, locked, unique};
use crate::error::{Error, Result};
use crate::quote::as_path;
use atelier_config::Home;
use atelier_files::remove;

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Collected {
    /// Generations of bases.
    pub bases: usize,
    /// Unfinished or half-deleted folders.
    pub leftovers: usize,
    /// Bytes that this freed.
    pub bytes: u64,
}

/// Removes every generation that no environment uses and that no new one would use: all but the
/// newest of each project, and all of a project whose folder is gone. `in_use` names generations
/// (`<project>/<generation>`, as [`crate::Workspace::base_id`] has them) to keep in any case.
///
/// # Errors
/// When a folder cannot be read or deleted; what was removed until then stays removed.
pub fn gc_bases(home: &Home, in_use: &[String]) -> Result<Collected> {
    let mut collected = Collected::default();
    for project in folders(&home.bases())? {
        collect_project(&project, in_use, &mut collected)?;
    }
    Ok(collected)
}

/// Removes what unfinished creations and removals left in a folder of environments.
///
/// # Errors
/// When a folder cannot be read or deleted.
pub fn gc_leftovers(dir: &Path) -> Result<Collected> {
    let mut collected = Collected::default();
    for path in folders(dir)? {
        collect_leftover(&path, &mut collected)?;
    }
    Ok(collected)
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(listing) => Ok(listing.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", dir, e)),
    }
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(b"", OsStrExt::as_bytes)
}

/// Whoever makes something holds its lock; the kernel lets go of a dead one's.
fn collect_leftover(path: &Path, collected: &mut Collected) -> Result<()> {
    let name = name_of(path);
    let ours = name.starts_with(NEW.as_bytes()) || name.starts_with(OLD.as_bytes());
    if ours && let Ok(Some(_lock)) = locked(path, FlockOperation::NonBlockingLockExclusive) {
        collected.bytes += remove(path)?;
        collected.leftovers += 1;
    }
    Ok(())
}

fn collect_project(dir: &Path, in_use: &[String], collected: &mut Collected) -> Result<()> {
    let root = std::fs::read(dir.join("root")).unwrap_or_default();
    let alive = as_path(&root).is_dir();
    let all = folders(dir)?;
    let number = |p: &Path| p.file_name()?.to_str()?.parse::<u64>().ok();
    let newest = all.iter().filter_map(|p| number(p)).max();
    let project = String::from_utf8_lossy(name_of(dir)).into_owned();
    for path in all {
        collect_leftover(&path, collected)?;
        let name = String::from_utf8_lossy(name_of(&path)).into_owned();
        let candidate =
            number(&path).map_or(name.starts_with("ref-"), |n| !alive || Some(n) != newest);
        if !candidate || in_use.iter().any(|id| *id == format!("{project}/{name}")) {
            continue;
        }
        if let Ok(Some(_lock)) = locked(&path, FlockOperation::NonBlockingLockExclusive)
            && !has_users(&path)
        {
            collected.bytes += remove_generation(dir, &path)?;
            collected.bases += 1;
        }
    }
    Ok(())
}

/// Whether an environment that stands on the generation still exists. Forgets those that do not.
fn has_users(generation: &Path) -> bool {
    let Ok(pins) = std::fs::read_dir(generation.join("users")) else { return false };
    let mut any = false;
    for pin in pins.flatten().map(|e| e.path()) {
        let layer_dir = std::fs::read(&pin).unwrap_or_default();
        if as_path(&layer_dir).symlink_metadata().is_ok() {
            any = true;
        } else {
            let _ = std::fs::remove_file(&pin);
        }
    }
    any
}

fn remove_generation(dir: &Path, path: &Path) -> Result<u64> {
    let old = dir.join(format!("{OLD}{}", unique()));
    std::fs::rename(path, &old).map_err(|e| Error::io("delete", path, e))?;
    Ok(remove(&old)?)
}
