//! Searching the MCP Registry, and others that speak its API. They are asked for words and never whole; what they
//! answered is kept, for the next hour and for days without a network.
//!
//! What must not be here: what a server becomes when it is added (`mcp_registry`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mcp_registry::{self, escape, text};
use super::registry::{FRESH, Freshness};
use crate::context::Context;
use crate::home::{Registry, files};
use crate::{Home, Result, ToolsError, http};

/// Pages of a hundred that are asked for, for one word.
const PAGES: usize = 3;
/// Words of a search that are asked for, the longest first; the others choose among the answers.
const WORDS: usize = 3;
/// More servers than any search needs: the cache begins anew.
const MOST: usize = 20_000;

/// A server of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub name: String,
    pub description: String,
    /// Why it can't be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is known of a registry that was asked.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cache {
    url: String,
    /// The words, and when they were asked for, in seconds since 1970.
    asked: BTreeMap<String, i64>,
    servers: BTreeMap<String, Server>,
}

/// What a search may choose from.
#[derive(Debug)]
pub(crate) struct Looked {
    pub servers: Vec<Server>,
    /// The age of the oldest answer, in seconds; nothing when there was none.
    pub age: Option<i64>,
    /// Why it is not newer, or not all.
    pub problem: Option<String>,
}

fn file(home: &Home, registry: &Registry) -> PathBuf {
    home.cache().join("registries").join(&registry.name).join("servers.json")
}

/// Whether somebody at this address speaks the registry's API.
pub(crate) fn probe(registry: &Registry, context: &Context<'_>) -> Result<()> {
    context.at("fetching", &format!("registry {}", registry.name))?;
    page(&registry.url, "", 1, None).map(drop)
}

/// The servers that words may be about.
pub(crate) fn look(
    home: &Home,
    registry: &Registry,
    query: &str,
    freshness: Freshness,
    context: &Context<'_>,
) -> Result<Looked> {
    let words = words(query);
    if words.is_empty() {
        // A part of the list would pass for all of it.
        let problem = Some("it is searched by words, not listed".to_owned());
        return Ok(Looked { servers: Vec::new(), age: None, problem });
    }
    let (mut cache, mut problem) = (read(home, registry), None);
    let now = jiff::Timestamp::now().as_second();
    let wanted = words.iter().filter(|word| {
        let age = cache.asked.get(*word).map(|at| now - at);
        freshness == Freshness::Now || age.is_none_or(|age| !(0..FRESH).contains(&age))
    });
    let wanted: Vec<String> = wanted.cloned().collect();
    if freshness == Freshness::Cached {
        if cache.servers.is_empty() {
            let from = format!("registry {}", registry.name);
            return Err(ToolsError::Fetch {
                from,
                why: "nothing of it is kept here".into(),
                by_hand: None,
            });
        }
    } else if !wanted.is_empty() {
        context.at("fetching", &format!("registry {}", registry.name))?;
        match wanted.iter().try_for_each(|word| refresh(&mut cache, registry, word, now)) {
            Ok(()) => write(home, registry, &cache)?,
            Err(error @ ToolsError::Fetch { .. }) if !cache.servers.is_empty() => {
                problem = Some(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let oldest = words.iter().filter_map(|word| cache.asked.get(word)).min();
    let age = oldest.map(|at| now - at);
    Ok(Looked { servers: cache.servers.into_values().collect(), age, problem })
}

/// The words to ask for: a registry finds a part of a name, one at a time.
fn words(query: &str) -> Vec<String> {
    let mut words: Vec<String> = query.to_lowercase().split_whitespace().map(Into::into).collect();
    words.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    words.dedup();
    words.truncate(WORDS);
    words
}

fn read(home: &Home, registry: &Registry) -> Cache {
    let text = files::read(&file(home, registry)).ok().flatten().unwrap_or_default();
    let cache: Cache = serde_json::from_str(&text).unwrap_or_default();
    match cache.url == registry.url && cache.servers.len() < MOST {
        true => cache,
        false => Cache { url: registry.url.clone(), ..Cache::default() },
    }
}

fn write(home: &Home, registry: &Registry, cache: &Cache) -> Result<()> {
    let bytes = serde_json::to_vec(cache).unwrap_or_default();
    files::replace(&file(home, registry), &bytes, 0o600)
}

/// Asks for a word. What was known of it goes: the answer has all that is left.
fn refresh(cache: &mut Cache, registry: &Registry, word: &str, now: i64) -> Result<()> {
    let (mut cursor, mut found) = (None, Vec::new());
    for _ in 0..PAGES {
        let answer = page(&registry.url, word, 100, cursor.as_deref())?;
        found.extend(mcp_registry::list(&answer, "servers").iter().filter_map(server));
        cursor = answer["metadata"]["nextCursor"].as_str().map(str::to_owned);
        if cursor.as_ref().is_none_or(String::is_empty) {
            break;
        }
    }
    cache.servers.retain(|name, _| !name.to_lowercase().contains(word));
    cache.servers.extend(found.into_iter().map(|server| (server.name.clone(), server)));
    cache.asked.insert(word.to_owned(), now);
    Ok(())
}

/// A page of the list; by the frozen API, or the one before it.
fn page(base: &str, word: &str, limit: u32, cursor: Option<&str>) -> Result<Value> {
    let base = base.trim_end_matches('/');
    let cursor = cursor.map(|text| format!("&cursor={}", escape(text))).unwrap_or_default();
    for api in ["v0.1", "v0"] {
        let search = escape(word);
        let url =
            format!("{base}/{api}/servers?search={search}&version=latest&limit={limit}{cursor}");
        match http::json(&url)? {
            Some(answer) if answer["servers"].is_array() => return Ok(answer),
            Some(_) => break,
            None => {}
        }
    }
    let why = "it does not answer as an MCP registry does".into();
    Err(ToolsError::Fetch { from: super::without_password(base), why, by_hand: None })
}

/// A server as it is listed; nothing for one that was deleted, or an older version.
fn server(entry: &Value) -> Option<Server> {
    let official = &entry["_meta"]["io.modelcontextprotocol.registry/official"];
    let status = official["status"].as_str().or(entry["server"]["status"].as_str());
    if status == Some("deleted") || official["isLatest"].as_bool() == Some(false) {
        return None;
    }
    let server = mcp_registry::inner(entry.clone());
    let name = text(&server, "name");
    let titled = match text(&server, "title") {
        title if title.is_empty() => text(&server, "description"),
        title => format!("{title}: {}", text(&server, "description")),
    };
    let problem = match (status, mcp_registry::plugin(&server)) {
        (Some("deprecated"), _) => Some("deprecated".to_owned()),
        (_, Ok(_)) => None,
        (_, Err(_)) => Some("nothing of it can be installed here".to_owned()),
    };
    (!name.is_empty()).then_some(Server { name, description: titled, problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_words_are_asked_for_once() {
        assert_eq!(words("a Weather in weather forecasts"), ["forecasts", "weather", "in"]);
        assert!(words(" ").is_empty());
    }

    #[test]
    fn what_is_listed_is_named_with_what_keeps_it_from_being_added() {
        let listed = |status: &str, server: Value| {
            let official = json!({"status": status, "isLatest": true});
            server_of(
                &json!({"server": server, "_meta": {"io.modelcontextprotocol.registry/official": official}}),
            )
        };
        let npm = json!({"registryType": "npm", "identifier": "x", "version": "1.0.0", "transport": {"type": "stdio"}});
        let good = json!({"name": "io.x/good", "title": "Good", "description": "does", "version": "1.0.0", "packages": [npm]});
        let found = listed("active", good.clone()).unwrap();
        assert_eq!((found.description.as_str(), found.problem), ("Good: does", None));
        assert_eq!(
            listed("deprecated", good.clone()).unwrap().problem.as_deref(),
            Some("deprecated")
        );
        assert!(listed("deleted", good).is_none());
        let odd = json!({"name": "io.x/odd", "description": "d", "version": "1", "packages": [{"registryType": "nuget", "identifier": "x", "version": "1"}]});
        assert!(listed("active", odd).unwrap().problem.is_some());
    }

    use super::server as server_of;
}
