//! Finding a plugin's files and reading them: `plugin.yaml`, with the user's overrides over it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use atelier_yaml::{Booleans, Node};

use crate::read::Reader;
use crate::{Finding, Plugin, PluginError, overrides};

/// The names that a plugin's file may have, the first found counts.
pub const FILES: [&str; 2] = ["plugin.yaml", "plugin.yml"];
/// The user's own part of a plugin, relative to its folder.
pub const OVERRIDES: &str = "custom/overrides.yaml";
/// More than any plugin has, and little enough to hold in memory.
const LARGEST: u64 = 1 << 20;

/// A plugin's file and the folder it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its `plugin.yaml`.
    pub file: PathBuf,
    /// The overrides, when there are some.
    pub overrides: Option<PathBuf>,
}

impl Source {
    /// The source of a folder, or of a file itself.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(path: &Path) -> Result<Self, PluginError> {
        if path.is_file() {
            return Ok(Self { file: path.to_owned(), overrides: None });
        }
        let file = FILES.iter().map(|name| path.join(name)).find(|file| file.exists());
        let file = file.ok_or_else(|| PluginError::Missing(path.to_owned()))?;
        let overrides = Some(path.join(OVERRIDES)).filter(|file| file.exists());
        Ok(Self { file, overrides })
    }
}

impl Plugin {
    /// The plugin of a folder, with its user's overrides.
    ///
    /// # Errors
    /// When it is missing, unreadable, or says what it must not: all of that at once.
    pub fn load(path: &Path) -> Result<Self, PluginError> {
        let source = Source::find(path)?;
        let mut root = document(&source.file)?;
        let mut replaced = Vec::new();
        if let Some(file) = &source.overrides {
            overrides::merge(&mut root, document(file)?, "", &mut replaced);
        }
        Reader::new(&source, replaced).plugin(&root).map_err(PluginError::Invalid)
    }

    /// The plugin that a text is; `name` is what findings call it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str, name: &Path) -> Result<Self, PluginError> {
        let source = Source { file: name.to_owned(), overrides: None };
        let root = tree(text, name)?;
        Reader::new(&source, Vec::new()).plugin(&root).map_err(PluginError::Invalid)
    }
}

/// The one document of a file.
pub(crate) fn document(path: &Path) -> Result<Node, PluginError> {
    let bytes =
        bytes(path).map_err(|source| PluginError::Read { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|e| PluginError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, e),
    })?;
    tree(&text, path)
}

/// The one document of a text.
pub(crate) fn tree(text: &str, path: &Path) -> Result<Node, PluginError> {
    let invalid = |(line, column), message: String, hint: Option<&str>| {
        let hint = hint.map(str::to_owned);
        let (file, key) = (path.to_owned(), String::new());
        PluginError::Invalid(vec![Finding { file, line, column, key, message, hint }])
    };
    // ATK reads YAML 1.1, where `yes` and `on` are booleans.
    let mut documents = atelier_yaml::parse(text, Booleans::Six)
        .map_err(|m| invalid(m.place, m.words, Some("the line or the one before it is no YAML")))?;
    match documents.len() {
        0 => Err(invalid((1, 1), "the file is empty".to_owned(), None)),
        1 => Ok(documents.remove(0)),
        _ => Err(invalid((1, 1), "the file has more than one document".to_owned(), None)),
    }
}

/// A regular file's bytes. A pipe or a device would never end, and is not waited for.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    const NONBLOCK: i32 = 0o4000;
    let file = File::options().read(true).custom_flags(NONBLOCK).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > LARGEST {
        let words = "it is no regular file of at most 1 MiB";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
