//! An ATK plugin's `.env` becomes settings of ours.

use std::path::{Path, PathBuf};

use atelier_plugin::Plugin;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Error, Result};
use super::key::{Keys, Recipients};
use super::store::Settings;
use super::{Secret, dotenv};
use crate::{Home, OfFile as _, Slug};

/// What was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Imported {
    /// Plain ones.
    pub plain: Vec<String>,
    /// Secret ones; those that the plugin does not declare are taken for secrets.
    pub secret: Vec<String>,
    /// Those that no environment can hold.
    pub refused: Vec<String>,
    /// The files that were written, for the commit.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// Takes the values of a `.env` over, as ATK reads them. Settings that are there already are replaced.
///
/// # Errors
/// [`Error::File`], [`Error::Recipient`], [`Error::Encrypt`].
pub fn import_env(
    home: &Home,
    slug: &Slug,
    plugin: &Plugin,
    file: &Path,
    recipients: &[String],
    around: impl Fn(&str) -> Option<String>,
) -> Result<Imported> {
    let bytes = zeroize::Zeroizing::new(std::fs::read(file).map_err(Error::file("read", file))?);
    let text = zeroize::Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let mut settings = Settings::load(home, slug)?;
    let mut imported = Imported::default();
    let mut sealing = None;
    for (name, value) in dotenv::parse(&text, around) {
        let value = Secret::new(value);
        if super::store::fits(&name, value.expose()).is_err() {
            imported.refused.push(name);
        } else if plugin.variable(&name).is_some_and(|variable| !variable.secret) {
            settings.set_plain(&name, value.expose())?;
            imported.plain.push(name);
        } else {
            let to = match &mut sealing {
                Some(to) => to,
                none => none.insert(Recipients::of(recipients, &Keys::load_or_make(home)?)?),
            };
            settings.set_secret(&name, &value, to)?;
            imported.secret.push(name);
        }
    }
    imported.files = settings.save(home, slug)?;
    Ok(imported)
}
