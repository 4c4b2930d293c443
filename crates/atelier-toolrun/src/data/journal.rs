//! What is under way with a tool's data, so that the next command can take it back after a kill.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use atelier_files::whole;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::volumes;
use crate::lifecycle::{self, Manner, Tool};
use crate::{Home, OfFile as _, Slug};

/// What was being done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// Whether the service is to run afterwards.
    pub was_running: bool,
    /// What changes places. Taken back unless `done` holds.
    pub swaps: Vec<Swap>,
    /// Volumes that are replaced.
    pub volumes: Vec<String>,
    /// Everything is in its place: only what was put aside is left to remove.
    pub done: bool,
    /// An unfinished backup.
    pub part: Option<PathBuf>,
}

/// A path with what comes in its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Swap {
    pub target: PathBuf,
    /// What comes, beside the target; there is nothing when the target only goes.
    pub new: PathBuf,
    /// Where what was there is kept, beside the target.
    pub old: PathBuf,
    /// Whether something was there.
    pub had: bool,
    /// Whether something comes.
    pub comes: bool,
    /// Whether the places change now.
    pub going: bool,
}

impl Swap {
    pub(crate) fn of(target: &Path, comes: bool) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = |what: &str| target.with_file_name(format!(".{name}.atelier-{what}"));
        let had = fs::symlink_metadata(target).is_ok();
        Self {
            target: target.to_owned(),
            new: beside("new"),
            old: beside("old"),
            had,
            comes,
            going: false,
        }
    }

    /// Puts what was there aside and what comes in its place.
    pub(crate) fn go(&self) -> Result<()> {
        let renamed =
            |from: &Path, to: &Path| fs::rename(from, to).map_err(Error::file("moved", from));
        if self.had {
            renamed(&self.target, &self.old)?;
        }
        if self.comes {
            renamed(&self.new, &self.target)?;
        }
        sync_folder(&self.target)
    }

    /// Whatever had been done of it, it is as it was.
    fn back(&self) -> Result<()> {
        let kept = fs::symlink_metadata(&self.old).is_ok();
        let came = self.comes && fs::symlink_metadata(&self.new).is_err();
        // Until the places change, a target that nobody had is one that the service has made since.
        if kept || (self.going && !self.had && came) {
            remove(&self.target)?;
        }
        if kept {
            fs::rename(&self.old, &self.target).map_err(Error::file("moved", &self.old))?;
        }
        remove(&self.new)?;
        sync_folder(&self.target)
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::file("written", folder))
}

/// Removes a file or a folder, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        about => about.map_err(Error::file("removed", path))?,
    };
    let removed = if about.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(Error::file("removed", path))
}

fn folder(home: &Home) -> PathBuf {
    home.local().join("data")
}

fn file(home: &Home, slug: &Slug) -> PathBuf {
    folder(home).join(format!("{slug}.json"))
}

/// Where a backup or a restore of a tool keeps what is not in its place yet.
pub(crate) fn staging(home: &Home, slug: &Slug) -> PathBuf {
    home.staging().join(format!("data-{slug}"))
}

impl Journal {
    pub(crate) fn begin(was_running: bool) -> Self {
        let (swaps, volumes) = (Vec::new(), Vec::new());
        Self { was_running, swaps, volumes, done: false, part: None }
    }

    pub(crate) fn load(home: &Home, slug: &Slug) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(home, slug)).ok()?).ok()
    }

    /// Written and on the disk before what it says is done.
    pub(crate) fn save(&self, home: &Home, slug: &Slug) -> Result<()> {
        let path = file(home, slug);
        let put = || -> io::Result<()> {
            whole::private_folder(&folder(home))?;
            whole::replace(&path, &serde_json::to_vec(self)?, whole::PRIVATE)
        };
        put().map_err(Error::file("written", &path))
    }

    /// Takes back what was not done, or clears away after what was; the service is as it was then.
    pub(crate) fn end(&self, home: &Home, tool: &Tool, manner: &Manner<'_>) -> Result<()> {
        let began = !(self.swaps.is_empty() && self.volumes.is_empty());
        if began && !self.done {
            // A database that was swapped half must not be open.
            stop(home, tool, manner)?;
        }
        for swap in self.swaps.iter().rev() {
            match self.done {
                true => remove(&swap.old)?,
                false => swap.back()?,
            }
        }
        for name in &self.volumes {
            match self.done {
                true => volumes::forget(manner, tool, name)?,
                false => volumes::undo(manner, tool, name)?,
            }
        }
        if let Some(part) = &self.part {
            remove(part)?;
        }
        remove(&staging(home, &tool.slug))?;
        match self.was_running {
            true => start(home, tool, manner)?,
            false if began => stop(home, tool, manner)?,
            false => {}
        }
        remove(&file(home, &tool.slug))
    }
}

/// Ends what a killed backup or restore has left half: its data and its service are as they were before,
/// or as after it where everything was in its place. Returns the tools for which there was something to do.
///
/// # Errors
/// What keeps it from being taken back; it is tried again by the next call.
pub fn recover(home: &Home, manner: &Manner<'_>) -> Result<Vec<Slug>> {
    let entries = fs::read_dir(folder(home)).into_iter().flatten().flatten();
    let slugs = entries.filter_map(|entry| {
        entry.file_name().to_str()?.strip_suffix(".json")?.parse::<Slug>().ok()
    });
    let mut recovered = Vec::new();
    for slug in slugs {
        let tool = Tool::load(home, &slug)?;
        let Some(_turn) = turn(home, &slug)? else { continue };
        if let Some(journal) = Journal::load(home, &slug) {
            journal.end(home, &tool, manner)?;
            recovered.push(slug);
        }
    }
    Ok(recovered)
}

/// The one who saves or restores a tool's data at a time; nothing while another one does.
pub(crate) fn turn(home: &Home, slug: &Slug) -> Result<Option<fs::File>> {
    let path = folder(home).join(format!("{slug}.lock"));
    let open = || -> io::Result<fs::File> {
        whole::private_folder(&folder(home))?;
        fs::File::options().create(true).append(true).open(&path)
    };
    let file = open().map_err(Error::file("opened", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(Error::file("locked", &path)(error)),
    }
}

pub(crate) fn start(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Result<()> {
    failure(lifecycle::start(home, std::slice::from_ref(&tool.slug), manner)?)
}

pub(crate) fn stop(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Result<()> {
    failure(lifecycle::stop(home, std::slice::from_ref(&tool.slug), &[], manner)?)
}

fn failure(report: lifecycle::Report) -> Result<()> {
    match report.tools.into_iter().find_map(|one| one.problem) {
        Some(problem) => Err(Error::Service(problem)),
        None => Ok(()),
    }
}
