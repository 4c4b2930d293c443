//! A user's overrides over a plugin: mappings are merged, everything else is replaced, as ATK does
//! it.

use atelier_yaml::{Node, Yaml};

/// Lays `over` over `base`. The keys that came from `over` are added to `replaced`, so that a
/// finding names the file it is in.
pub(crate) fn merge(base: &mut Node, over: Node, at: &str, replaced: &mut Vec<String>) {
    let Node { value: Yaml::Map(entries), .. } = over else { return };
    let Yaml::Map(own) = &mut base.value else { return };
    for (key, node) in entries {
        let path = if at.is_empty() { key.name.clone() } else { format!("{at}.{}", key.name) };
        match own.iter_mut().find(|(k, _)| k.name == key.name) {
            Some((_, old)) if both_maps(old, &node) => merge(old, node, &path, replaced),
            Some((place, old)) => {
                (*place, *old) = (key, node);
                replaced.push(path);
            }
            None => {
                own.push((key, node));
                replaced.push(path);
            }
        }
    }
}

fn both_maps(a: &Node, b: &Node) -> bool {
    matches!((&a.value, &b.value), (Yaml::Map(_), Yaml::Map(_)))
}
