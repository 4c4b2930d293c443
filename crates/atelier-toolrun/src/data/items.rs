//! What a plugin declares as its data, with the places where that lies.

use std::path::{Component, Path, PathBuf};

use atelier_plugin::{Data, Dump};

use super::error::{Error, Result};
use crate::lifecycle::{Manner, Tool};

/// One thing to save.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A file or a folder.
    Tree(PathBuf),
    /// An SQLite database.
    Sqlite(PathBuf),
    /// A volume, as the plugin calls it.
    Volume(String),
    /// What commands save and load.
    Dump(Dump),
}

impl Item {
    /// Whether it is only consistent while the service does not run.
    pub(crate) fn wants_quiet(&self) -> bool {
        matches!(self, Self::Tree(_) | Self::Volume(_))
    }
}

/// The declared items of a tool, in their order.
pub(crate) fn items(tool: &Tool, manner: &Manner<'_>) -> Result<Vec<Item>> {
    let place = |given: &str| place(tool, given, manner);
    let item = |data: &Data| {
        Ok(match data {
            Data::Path(path) => Item::Tree(place(path)?),
            Data::Sqlite(path) => Item::Sqlite(place(path)?),
            Data::Volume(name) => Item::Volume(name.clone()),
            Data::Dump(dump) => Item::Dump(dump.clone()),
        })
    };
    tool.plugin.data.iter().map(item).collect()
}

/// Below the plugin's folder, or below the user's home where it begins with `~/`; never that itself, and
/// not through a link that leads elsewhere.
fn place(tool: &Tool, given: &str, manner: &Manner<'_>) -> Result<PathBuf> {
    let refuse =
        |why| Err(Error::Outside { slug: tool.slug.to_string(), given: given.to_owned(), why });
    let (root, rest) = match given.strip_prefix("~/") {
        Some(rest) => match manner.variable("HOME") {
            Some(home) if home.starts_with('/') => (PathBuf::from(home), rest),
            _ => return refuse("needs HOME to be set"),
        },
        None => (tool.folder.clone(), given),
    };
    let rest = Path::new(rest);
    let mut parts = rest.components().filter(|part| *part != Component::CurDir).peekable();
    if parts.peek().is_none() {
        return refuse("is the whole folder");
    }
    if !parts.all(|part| matches!(part, Component::Normal(_))) {
        return refuse("leads out of its folder");
    }
    let path: PathBuf = root.join(rest).components().collect();
    let above = path.parent().and_then(|above| above.canonicalize().ok());
    let root = root.canonicalize().unwrap_or(root);
    if above.is_some_and(|above| !above.starts_with(&root)) {
        return refuse("leads out of its folder through a link");
    }
    Ok(path)
}
