//! Who can read the secrets: sealed anew for another set of keys, and what this machine cannot read.

use std::fs;
use std::io;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Error, Result};
use super::key::{Keys, Recipients};
use super::store::Settings;
use crate::{Home, OfFile as _, Slug};

/// What sealing anew has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Resealed {
    /// How many values were sealed anew.
    pub values: usize,
    /// Those that this machine cannot open, as `SLUG NAME`: they stay as they are.
    pub closed: Vec<String>,
    /// The files that were written, for the commit.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// Seals every secret of the home anew for these recipients and this machine. Each file is replaced as
/// a whole; after an interruption, doing it again finishes it. A recipient that was taken off the list
/// still reads what git's history has: change the secrets themselves then.
///
/// # Errors
/// [`Error::Recipient`], [`Error::Format`], [`Error::File`].
pub fn reseal(home: &Home, recipients: &[String]) -> Result<Resealed> {
    let keys = Keys::load_or_make(home)?;
    let to = Recipients::of(recipients, &keys)?;
    let mut done = Resealed::default();
    for slug in sealed_tools(home)? {
        let mut settings = Settings::load(home, &slug)?;
        let opened = settings.open(home, &slug, Some(&keys))?;
        for (name, secret) in &opened.secrets {
            settings.set_secret(name, secret, &to)?;
            done.values += 1;
        }
        done.closed.extend(opened.closed.iter().map(|name| format!("{slug} {name}")));
        done.files.extend(settings.save(home, &slug)?);
    }
    Ok(done)
}

/// The secrets that this machine's key does not open, as `SLUG NAME`.
///
/// # Errors
/// [`Error::Format`], [`Error::File`], [`Error::Key`].
pub fn closed(home: &Home) -> Result<Vec<String>> {
    let keys = Keys::load(home)?;
    let mut closed = Vec::new();
    for slug in sealed_tools(home)? {
        let opened = Settings::load(home, &slug)?.open(home, &slug, keys.as_ref())?;
        closed.extend(opened.closed.iter().map(|name| format!("{slug} {name}")));
    }
    Ok(closed)
}

/// The tools that have a file of secrets.
fn sealed_tools(home: &Home) -> Result<Vec<Slug>> {
    let folder = home.root().join("secrets");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file("read", &folder))?,
    };
    let slug = |entry: fs::DirEntry| {
        entry.file_name().to_str()?.strip_suffix(".yaml")?.parse::<Slug>().ok()
    };
    let mut slugs: Vec<Slug> = entries.flatten().filter_map(slug).collect();
    slugs.sort();
    Ok(slugs)
}
