//! `tool search`: over all registries, the best match first.

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::home::{Kind, Lock, Manifest, Registry, RegistryKind};
use crate::source::{self, Freshness, mcp_index};
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
    /// Why `add` would refuse it, or should not be asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A registry that was searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Searched {
    /// Its name.
    pub name: String,
    /// How many tools it has, of an API how many of them are known here; nothing when its index can't be had.
    pub tools: Option<usize>,
    /// How old the index is, in seconds.
    pub age: Option<i64>,
    /// Why it is not newer, or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is searched for, and where.
#[derive(Debug, Clone, Default)]
pub struct SearchOptions {
    /// Words that must all be there.
    pub query: String,
    /// Ask no network.
    pub offline: bool,
    /// An MCP registry to search besides: where its API begins.
    pub mcp: Option<String>,
}

/// Searches the registries of the home.
///
/// # Errors
/// When no registry's index can be had at all.
pub fn search(home: &Home, options: &SearchOptions, context: &Context<'_>) -> Result<Found> {
    let (manifest, lock) = (Manifest::read(home)?, Lock::read(home)?);
    let freshness = if options.offline { Freshness::Cached } else { Freshness::Recent };
    let mut registries = manifest.wanted().registries.clone();
    registries.extend(besides(&registries, options.mcp.as_deref()));
    let own = manifest.wanted().registries.len();
    let (mut found, mut hits, mut failed) = (Found::default(), Vec::new(), None);
    for (at, registry) in registries.iter().enumerate() {
        let mut searched =
            Searched { name: registry.name.clone(), tools: None, age: None, problem: None };
        let looked = match registry.kind {
            RegistryKind::Git => plugins(home, registry, freshness, &lock, context, &mut searched),
            RegistryKind::Mcp => {
                let looked = mcp_index::look(home, registry, &options.query, freshness, context);
                let prefix =
                    if at < own { format!("{}/", registry.name) } else { named(&registry.url) };
                looked.map(|looked| servers(looked, &manifest, registry, &prefix, &mut searched))
            }
        };
        match looked {
            Ok(all) => hits.extend(all.into_iter().filter_map(|(about, hit)| {
                let short = hit.name.rsplit('/').next().unwrap_or(&hit.name);
                Some((rank(&options.query, short, &about)?, hit))
            })),
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

/// The MCP registry that was asked for, unless the home has it anyway.
fn besides(registries: &[Registry], url: Option<&str>) -> Option<Registry> {
    let url = url?.trim_end_matches('/');
    let known = registries.iter().any(|r| r.url.trim_end_matches('/') == url);
    let (name, kind, url) = ("mcp".to_owned(), RegistryKind::Mcp, url.to_owned());
    (!known).then(|| Registry { name, kind, url, ..Registry::default() })
}

/// How `add` takes the servers of a registry that the home does not have.
fn named(url: &str) -> String {
    if url == source::MCP_REGISTRY { "mcp:".to_owned() } else { format!("mcp:{url}#") }
}

/// A hit, with the text that words are looked for in besides its name.
type Candidate = (String, Hit);

fn plugins(
    home: &Home,
    registry: &Registry,
    freshness: Freshness,
    lock: &Lock,
    context: &Context<'_>,
    searched: &mut Searched,
) -> Result<Vec<Candidate>> {
    let index = source::index(home, registry, freshness, context)?;
    searched.tools = Some(index.plugins.len());
    searched.age = Some(index.age);
    searched.problem = index.stale;
    let all = index.plugins.into_iter().map(|plugin| {
        let hit = Hit {
            installed: lock.tools.contains_key(&plugin.name),
            name: plugin.name.to_string(),
            registry: registry.name.clone(),
            description: plugin.description,
            problem: None,
        };
        (hit.description.clone(), hit)
    });
    Ok(all.collect())
}

fn servers(
    looked: mcp_index::Looked,
    manifest: &Manifest,
    registry: &Registry,
    prefix: &str,
    searched: &mut Searched,
) -> Vec<Candidate> {
    searched.tools = Some(looked.servers.len());
    searched.age = looked.age;
    searched.problem = looked.problem;
    let installed = |name: &str| {
        let mut sources = manifest.wanted().tools.values().map(|tool| &tool.source);
        sources.any(|s| s.kind == Kind::McpRegistry && s.name.as_deref() == Some(name))
    };
    let all = looked.servers.into_iter().map(|server| {
        let about = format!("{} {}", server.name, server.description);
        let hit = Hit {
            installed: installed(&server.name),
            name: format!("{prefix}{}", server.name),
            registry: registry.name.clone(),
            description: server.description,
            problem: server.problem,
        };
        (about, hit)
    });
    all.collect()
}

/// How well a tool fits: every word must be somewhere; the name counts most.
fn rank(query: &str, name: &str, description: &str) -> Option<u32> {
    let description = description.to_lowercase();
    let mut rank = 0;
    let name = name.to_lowercase();
    for word in query.to_lowercase().split_whitespace() {
        let parts = name.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
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
