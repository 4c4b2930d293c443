//! Reading a Compose file as a tree of YAML, with this crate's errors.

use std::path::Path;

use atelier_yaml::{Booleans, Mistake};
pub(crate) use atelier_yaml::{Key, Node, Place, Yaml};

use crate::error::{ComposeError, Result};

/// The documents of a file. An empty file has none.
pub(crate) fn read(path: &Path) -> Result<Vec<Node>> {
    let bytes = crate::text::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidInput => {
            let message = "a Compose file is a regular file of at most 4 MiB".to_owned();
            ComposeError::Invalid { file: Some(path.to_owned()), line: None, column: None, message }
        }
        _ => ComposeError::io("read", path, e),
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        ComposeError::io("read", path, std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    })?;
    atelier_yaml::parse(&text, Booleans::Two).map_err(|mistake| error(path, mistake))
}

fn error(path: &Path, Mistake { place, words }: Mistake) -> ComposeError {
    let (file, line) = (Some(path.to_owned()), Some(place.0));
    match words.strip_prefix("unsupported tag `").and_then(|m| m.strip_suffix('`')) {
        Some(tag) => {
            let (key, why) = (tag.to_owned(), "the built-in loader does not know it".to_owned());
            ComposeError::Unsupported { file, line, key, why, install: true }
        }
        None if words.starts_with("budget breached") => {
            let why = "its anchors make too much of it".to_owned();
            ComposeError::Unsupported { file, line, key: "*".to_owned(), why, install: false }
        }
        None => ComposeError::Invalid { file, line, column: Some(place.1), message: words },
    }
}
