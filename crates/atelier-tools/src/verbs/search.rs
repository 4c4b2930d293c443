//! `tool search`: over all registries, the best match first.

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::home::{Lock, Manifest};
use crate::source::{self, Freshness};
use crate::{Home, Result, ToolsError};

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Found {
    /// The best match first.
    pub tools: Vec<Hit>,
    /// The registries, with the age of what was searched.
    pub registries: Vec<Searched>,
}

/// A tool of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hit {
    /// What `add` takes.
    pub name: String,
    /// Whose it is.
    pub registry: String,
    /// What it is, in a line.
    pub description: String,
    /// It is installed here, under this name.
    pub installed: bool,
}

/// A registry that was searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Searched {
    /// Its name.
    pub name: String,
    /// How many tools it has; nothing when its index can't be had.
    pub tools: Option<usize>,
    /// How old the index is, in seconds.
    pub age: Option<i64>,
    /// Why it is not newer, or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Searches. `offline` asks no network.
///
/// # Errors
/// When no registry's index can be had at all.
pub fn search(home: &Home, query: &str, offline: bool, context: &Context<'_>) -> Result<Found> {
    let (manifest, lock) = (Manifest::read(home)?, Lock::read(home)?);
    let freshness = if offline { Freshness::Cached } else { Freshness::Recent };
    let (mut found, mut hits, mut failed) = (Found::default(), Vec::new(), None);
    for registry in &manifest.wanted().registries {
        let mut searched =
            Searched { name: registry.name.clone(), tools: None, age: None, problem: None };
        match source::index(home, registry, freshness, context) {
            Ok(index) => {
                searched.tools = Some(index.plugins.len());
                searched.age = Some(index.age);
                searched.problem = index.stale;
                for plugin in index.plugins {
                    let Some(rank) = rank(query, plugin.name.as_str(), &plugin.description) else {
                        continue;
                    };
                    hits.push((
                        rank,
                        Hit {
                            installed: lock.tools.contains_key(&plugin.name),
                            name: plugin.name.to_string(),
                            registry: registry.name.clone(),
                            description: plugin.description,
                        },
                    ));
                }
            }
            Err(ToolsError::Cancelled) => return Err(ToolsError::Cancelled),
            Err(error) => {
                searched.problem = Some(error.to_string());
                failed = failed.or(Some(error));
            }
        }
        found.registries.push(searched);
    }
    if let Some(error) = failed.filter(|_| found.registries.iter().all(|r| r.tools.is_none())) {
        return Err(error);
    }
    hits.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    found.tools = hits.into_iter().map(|(_, hit)| hit).collect();
    Ok(found)
}

/// How well a tool fits: every word must be somewhere; the name counts most.
fn rank(query: &str, name: &str, description: &str) -> Option<u32> {
    let description = description.to_lowercase();
    let mut rank = 0;
    for word in query.to_lowercase().split_whitespace() {
        let parts = name.split('-').any(|part| part == word);
        rank += match () {
            () if name == word => 100,
            () if parts => 50,
            () if name.starts_with(word) => 40,
            () if name.contains(word) => 30,
            () if description.split(|c: char| !c.is_alphanumeric()).any(|w| w == word) => 10,
            () if description.contains(word) => 5,
            () => return None,
        };
    }
    Some(rank)
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn a_name_counts_more_than_a_description() {
        let ranks = [
            ("git", "x"),
            ("git-local", "x"),
            ("gitlab", "x"),
            ("x", "about git"),
            ("x", "digital"),
        ];
        let ranks: Vec<_> = ranks.iter().map(|(n, d)| rank("git", n, d).unwrap()).collect();
        assert!(ranks.is_sorted_by(|a, b| a > b), "{ranks:?}");
        assert_eq!(rank("git nothing", "git", "x"), None);
        assert_eq!(rank("", "git", "x"), Some(0));
    }
}
