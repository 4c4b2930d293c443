//! Where a key stands in a file, for complaints that name only the key.

use std::path::Path;

use super::yaml::{self, Node, Place, Yaml};
use crate::error::ComposeError;

/// The place of a dotted key, such as `services.web.ports.0`; of its nearest parent when it is
/// not there itself. None when not even its second part is.
pub(crate) fn of_key(file: &Path, key: &str) -> Option<Place> {
    let documents = yaml::read(file).ok()?;
    documents.iter().find_map(|d| walk(d, key))
}

/// The place of the file's first mistake as YAML. None: it has none.
pub(crate) fn of_mistake(file: &Path) -> Option<Place> {
    match yaml::read(file) {
        Err(ComposeError::Invalid { line: Some(line), column, .. }) => {
            Some((line, column.unwrap_or(1)))
        }
        _ => None,
    }
}

fn walk(document: &Node, key: &str) -> Option<Place> {
    let mut node = document;
    let mut place = None;
    let mut rest = key;
    let mut depth = 0;
    while !rest.is_empty() {
        let Some((found, next, behind)) = step(node, rest) else { break };
        (place, node, rest) = (Some(found), next, behind);
        depth += 1;
    }
    place.filter(|_| depth >= 2)
}

/// One step down: names may hold dots themselves, so the longest that is there is taken.
fn step<'a, 'k>(node: &'a Node, key: &'k str) -> Option<(Place, &'a Node, &'k str)> {
    let key = key.trim_start_matches(['.', '[']);
    match &node.value {
        Yaml::Map(entries) => {
            let fits = |name: &str| {
                key.strip_prefix(name).filter(|r| r.is_empty() || r.starts_with(['.', '[', ']']))
            };
            entries
                .iter()
                .filter_map(|(k, node)| fits(&k.name).map(|rest| (k.place, node, rest)))
                .min_by_key(|(_, _, rest)| rest.len())
                .map(|(place, node, rest)| (place, node, rest.trim_start_matches(']')))
        }
        Yaml::List(items) => {
            let end = key.find(|c: char| !c.is_ascii_digit()).unwrap_or(key.len());
            let item = items.get(key[..end].parse::<usize>().ok()?)?;
            Some((item.place, item, key[end..].trim_start_matches(']')))
        }
        _ => None,
    }
}
