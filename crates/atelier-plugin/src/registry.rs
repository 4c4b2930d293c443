//! The index of a registry: which plugins it has, and where in it.

use std::path::{Component, Path};

use atelier_yaml::Node;

use crate::load::tree;
use crate::read::Reader;
use crate::{PluginError, Slug, Source};

/// What a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its plugins, in the index's order.
    pub plugins: Vec<Entry>,
}

/// One plugin of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is asked for by.
    pub name: Slug,
    /// Its folder, relative to the registry's root; never outside of it.
    pub path: String,
    /// What it is, in a line.
    pub description: String,
}

impl Index {
    /// The index that a text is; `name` is what findings call it. Keys that are not known are left
    /// alone: a registry may say more than this version reads.
    ///
    /// # Errors
    /// When it is no index, or an entry leads outside of the registry.
    pub fn parse(text: &str, name: &Path) -> Result<Self, PluginError> {
        let root = tree(text, name)?;
        let source = Source { file: name.to_owned(), overrides: None };
        Reader::new(&source, Vec::new()).index(&root).map_err(PluginError::Invalid)
    }

    /// The plugin of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.plugins.iter().find(|entry| entry.name.as_str() == name)
    }
}

impl Reader<'_> {
    fn index(mut self, root: &Node) -> Result<Index, Vec<crate::Finding>> {
        let Some(fields) = self.open_map(root, "") else { return Err(self.findings) };
        let plugins = self.list(&fields, "plugins", |reader, node, at| {
            let fields = reader.open_map(node, at)?;
            let name = reader.required(&fields, "name")?;
            let path = reader.required(&fields, "path")?;
            let description = reader.text(&fields, "description").unwrap_or_default();
            let slug = name.parse::<Slug>();
            if slug.is_err() {
                reader.find(node, at, format!("`{name}` is no name of a tool"), None);
            }
            let inside = Path::new(&path).components().all(|c| matches!(c, Component::Normal(_)));
            if !inside || path.is_empty() {
                reader.find(node, at, format!("`{path}` is no folder inside the registry"), None);
                return None;
            }
            Some(Entry { name: slug.ok()?, path, description })
        });
        if self.findings.is_empty() { Ok(Index { plugins }) } else { Err(self.findings) }
    }
}
