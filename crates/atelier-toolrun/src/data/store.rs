//! The backups that there are: listed, found, looked through, thinned out.

use std::fs;
use std::io;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::archive;
use super::backup::{Backup, ENDING};
use super::error::{Error, Result};
use super::journal::remove;
use crate::secrets::Keys;
use crate::{Home, OfFile as _, Slug};

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verified {
    /// The backup.
    pub backup: Backup,
    /// When it was made.
    pub created: Timestamp,
    /// What is in it, as the plugin declares it.
    pub items: Vec<String>,
    /// How many files, folders and links.
    pub entries: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// The backups of a tool, the newest first.
///
/// # Errors
/// [`Error::File`].
pub fn list(home: &Home, slug: &Slug) -> Result<Vec<Backup>> {
    let folder = home.backups(slug);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file("read", &folder))?,
    };
    let backup = |entry: fs::DirEntry| {
        let name = entry.file_name().to_str()?.strip_suffix(ENDING)?.to_owned();
        let size = entry.metadata().ok()?.len();
        Some(Backup { slug: slug.clone(), name, file: entry.path(), size })
    };
    let mut all: Vec<Backup> = entries.flatten().filter_map(backup).collect();
    // Names are times, written so that they sort.
    all.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(all)
}

/// A backup by its name or the beginning of it; without a name the newest.
///
/// # Errors
/// [`Error::Unknown`].
pub fn find(home: &Home, slug: &Slug, name: Option<&str>) -> Result<Backup> {
    let all = list(home, slug)?;
    let found = match name {
        None => all.first(),
        Some(name) => all.iter().find(|one| one.name.starts_with(name.trim_end_matches(ENDING))),
    };
    found.cloned().ok_or_else(|| Error::Unknown {
        slug: slug.to_string(),
        given: name.unwrap_or("newest").to_owned(),
        known: all.iter().take(3).map(|one| one.name.clone()).collect(),
    })
}

/// Reads all of a backup and compares it with its hashes.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Damaged`], [`Error::Sealed`].
pub fn verify(home: &Home, slug: &Slug, name: Option<&str>) -> Result<Verified> {
    let backup = find(home, slug, name)?;
    let keys = Keys::load(home)?.ok_or_else(|| Error::Sealed { path: backup.file.clone() })?;
    let whole = archive::read(&backup.file, &keys, None)?;
    Ok(Verified {
        created: whole.head.created,
        items: whole.head.items.into_iter().flatten().collect(),
        entries: whole.entries,
        bytes: whole.bytes,
        backup,
    })
}

/// Removes old backups: those after the newest `keep`, and those that are older than `days`; whichever
/// is given, both when both are. The newest one that can be read whole is never removed.
///
/// # Errors
/// [`Error::File`], [`Error::Settings`].
pub fn prune(
    home: &Home,
    slug: &Slug,
    keep: Option<usize>,
    days: Option<u32>,
    now: Timestamp,
) -> Result<Vec<Backup>> {
    let all = list(home, slug)?;
    let is_old = |backup: &Backup| {
        let made = parse(&backup.name);
        let most = days.map(|days| i64::from(days) * 24 * 3600);
        most.zip(made).is_some_and(|(most, made)| now.as_second() - made.as_second() > most)
    };
    let goes = |(number, backup): &(usize, &Backup)| {
        keep.is_some_and(|keep| *number >= keep.max(1)) || is_old(backup)
    };
    let mut going: Vec<Backup> =
        all.iter().enumerate().filter(goes).map(|(_, backup)| backup.clone()).collect();
    if going.is_empty() {
        return Ok(going);
    }
    let keys = Keys::load(home)?;
    let good = |backup: &&Backup| {
        keys.as_ref().is_some_and(|keys| archive::read(&backup.file, keys, None).is_ok())
    };
    match all.iter().find(good) {
        Some(last) => going.retain(|backup| backup != last),
        // None can be read here: perhaps on another machine.
        None => return Ok(Vec::new()),
    }
    for backup in &going {
        remove(&backup.file)?;
    }
    Ok(going)
}

fn parse(name: &str) -> Option<Timestamp> {
    let (date, time) = name.trim_end_matches('Z').split_once('T')?;
    format!("{date}T{}Z", time.replace('-', ":")).parse().ok()
}
