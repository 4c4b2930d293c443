//! The files of a tool's settings: `values/SLUG.yaml` as text, with the user's comments, `secrets/SLUG.yaml` with each value
//! sealed by itself, so that a change of one is a change of a few lines in git.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use atelier_files::whole;
use atelier_tools::home as edit;
use serde_json::{Map, Value, json};

use super::Secret;
use super::error::{Error, Result};
use super::key::{Closed, Keys, Recipients};
use crate::{Home, OfFile as _, Slug};

/// What a value may be long: 64 KiB. The kernel takes 128 KiB for a variable with its name.
pub const LONGEST: usize = 64 * 1024;

/// A tool's settings as they lie in the home; secret ones are still sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    plain: BTreeMap<String, String>,
    sealed: BTreeMap<String, String>,
}

impl Settings {
    /// Reads them. A tool without files has none.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::File`].
    pub fn load(home: &Home, slug: &Slug) -> Result<Self> {
        let mut plain = read(&home.values_file(slug))?;
        let sealed = read(&home.secrets_file(slug))?;
        // A setting that became a secret is in both for a moment; the secret is the later one.
        plain.retain(|name, _| !sealed.contains_key(name));
        Ok(Self { plain, sealed })
    }

    /// The names that have a value, with whether it is sealed.
    pub fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        let plain = self.plain.keys().map(|name| (name.as_str(), false));
        plain.chain(self.sealed.keys().map(|name| (name.as_str(), true)))
    }

    /// Whether a setting has a value here.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.plain.contains_key(name) || self.sealed.contains_key(name)
    }

    /// A value that is not secret.
    #[must_use]
    pub fn plain(&self, name: &str) -> Option<&str> {
        self.plain.get(name).map(String::as_str)
    }

    /// Opens the secret ones. Those that stay closed are told by name.
    ///
    /// # Errors
    /// [`Error::Format`] for a value that is no age armour or was changed.
    pub fn open(&self, home: &Home, slug: &Slug, keys: Option<&Keys>) -> Result<Opened> {
        let mut opened = Opened::default();
        for (name, armour) in &self.sealed {
            match keys.map_or(Err(Closed::ForOthers), |keys| keys.open(armour)) {
                Ok(secret) => drop(opened.secrets.insert(name.clone(), secret)),
                Err(Closed::ForOthers) => opened.closed.push(name.clone()),
                Err(Closed::Damaged(why)) => {
                    let why = format!("{name} is no sealed value: {why}");
                    return Err(Error::Format { path: home.secrets_file(slug), why });
                }
            }
        }
        Ok(opened)
    }

    /// Sets a value that everybody may see who sees the repository.
    ///
    /// # Errors
    /// [`Error::Value`] for one that no environment can hold.
    pub fn set_plain(&mut self, name: &str, text: &str) -> Result<()> {
        fits(name, text)?;
        self.sealed.remove(name);
        self.plain.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    /// Sets a secret.
    ///
    /// # Errors
    /// [`Error::Value`] for one that no environment can hold, [`Error::Encrypt`].
    pub fn set_secret(&mut self, name: &str, text: &Secret, to: &Recipients) -> Result<()> {
        fits(name, text.expose())?;
        let sealed = to.seal(name, text)?;
        self.plain.remove(name);
        self.sealed.insert(name.to_owned(), sealed);
        Ok(())
    }

    /// Forgets a setting; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let plain = self.plain.remove(name).is_some();
        self.sealed.remove(name).is_some() || plain
    }

    /// Writes what has changed and returns the files, which belong into a commit. The sealed ones are
    /// written first: whatever happens in between, no value is lost.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, home: &Home, slug: &Slug) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        let secrets = format!(
            "# Secret settings of {slug}, each sealed with age for the recipients in tools.yaml.\n\
             # Change one with `atelier tool setup {slug}`.\n{}",
            blocks(&self.sealed)
        );
        let values = home.values_file(slug);
        let text = with_comments(slug, &values, &self.plain);
        for (path, text) in [
            (home.secrets_file(slug), (!self.sealed.is_empty()).then_some(secrets)),
            (values, text),
        ] {
            if write_if_changed(&path, text.as_deref())? {
                changed.push(path);
            }
        }
        Ok(changed)
    }
}

/// Plain settings as their file has them: lines that a user wrote around them stay. Nothing when nothing is left.
fn with_comments(slug: &Slug, path: &Path, plain: &BTreeMap<String, String>) -> Option<String> {
    let header = format!(
        "# Settings of {slug} that are no secrets. `atelier tool setup {slug}` asks for all.\n"
    );
    let whole = || format!("{header}{}", edit::emit(&json!(plain)));
    let as_map = |map: &BTreeMap<String, String>| -> Map<String, Value> {
        map.iter().map(|(name, text)| (name.clone(), json!(text))).collect()
    };
    let old = fs::read_to_string(path).unwrap_or_default();
    let edited = parse(path, &old).map(|was| match was == *plain {
        true => old.clone(),
        false => edit::edit_mapping(&old, &as_map(&was), &as_map(plain)),
    });
    let same = |text: &String| parse(path, text).is_ok_and(|read| read == *plain);
    let kept = edited.ok().filter(same).filter(|_| !old.is_empty());
    // Without values the file goes, unless the user wrote into it.
    let written = |text: &String| text.lines().any(|l| !l.trim().is_empty() && l != header.trim());
    match plain.is_empty() {
        true => kept.filter(written),
        false => Some(kept.unwrap_or_else(whole)),
    }
}

/// Secrets that this machine's key has opened.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// By name.
    pub secrets: BTreeMap<String, Secret>,
    /// Those that it does not open.
    pub closed: Vec<String>,
}

/// Whether an environment can hold a value.
pub(crate) fn fits(name: &str, text: &str) -> Result<()> {
    let why = if text.contains('\0') {
        "has a NUL character, which no environment variable can hold"
    } else if text.len() > LONGEST {
        "is longer than 64 KiB"
    } else if !is_name(name) {
        "is no name of a variable: letters, digits and _, no digit first"
    } else {
        return Ok(());
    };
    Err(Error::Value { name: name.to_owned(), why: why.to_owned() })
}

pub(crate) fn is_name(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(part) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, String>> {
    let format = |why: String| Error::Format { path: path.to_owned(), why };
    // A file of comments alone is no YAML document.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    let map: BTreeMap<String, Option<String>> =
        serde_saphyr::from_str(text).map_err(|error| format(error.to_string()))?;
    if let Some(bad) = map.keys().find(|name| !is_name(name)) {
        return Err(format(format!("{bad:?} is no name of a variable")));
    }
    Ok(map.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

/// Writes a file of settings, or removes one that would be empty; whether anything changed.
fn write_if_changed(path: &Path, text: Option<&str>) -> Result<bool> {
    match (text, fs::read_to_string(path).ok()) {
        (None, None) => Ok(false),
        (None, Some(_)) => {
            fs::remove_file(path).map_err(Error::file("removed", path))?;
            Ok(true)
        }
        (Some(text), Some(old)) if old == text => Ok(false),
        (Some(text), _) => {
            write(path, text).map_err(Error::file("written", path))?;
            Ok(true)
        }
    }
}

/// Whole or not at all, for its owner's eyes.
fn write(path: &Path, text: &str) -> io::Result<()> {
    whole::private_folder(path.parent().unwrap_or(Path::new("/")))?;
    whole::replace(path, text.as_bytes(), whole::PRIVATE)
}

fn blocks(map: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (name, armour) in map {
        let _ = writeln!(out, "{name}: |");
        for line in armour.trim_end().lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}
