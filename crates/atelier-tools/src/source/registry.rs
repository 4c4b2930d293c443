//! Registries: the index of one, fresh or from the cache, checked against its key.

use std::path::{Path, PathBuf};

use atelier_plugin::{Index, Slug};
use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refs;
use super::tree::Tree;
use crate::context::Context;
use crate::git::Remote;
use crate::home::{Registry, files, yaml};
use crate::{Home, Result, ToolsError};

/// How old a cached index may be before the network is asked.
pub(super) const FRESH: i64 = 3600;

/// How new an index has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// From the registry itself.
    Now,
    /// An hour old at most; older when the registry does not answer.
    Recent,
    /// As it lies here.
    Cached,
}

/// What the cache knows of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub url: String,
    #[serde(default)]
    pub reference: Option<String>,
    pub commit: String,
    /// When it was fetched, in seconds since 1970.
    pub fetched: i64,
}

/// One plugin of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub name: Slug,
    pub path: String,
    pub description: String,
    /// What its files must be, when the index says so: [`Tree::digest`].
    pub sha256: Option<String>,
}

/// An index, and how old it is.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub plugins: Vec<Listing>,
    pub about: About,
    /// Its age in seconds.
    pub age: i64,
    /// Why it is not newer, when the registry did not answer.
    pub stale: Option<String>,
}

impl Cached {
    pub fn find(&self, name: &str) -> Option<&Listing> {
        self.plugins.iter().find(|plugin| plugin.name.as_str() == name)
    }
}

fn folder(home: &Home, registry: &Registry) -> PathBuf {
    home.cache().join("registries").join(&registry.name)
}

/// A registry's index.
pub(crate) fn index(
    home: &Home,
    registry: &Registry,
    freshness: Freshness,
    context: &Context<'_>,
) -> Result<Cached> {
    let cached = cached(home, registry)?;
    let enough = match (&cached, freshness) {
        (_, Freshness::Now) => false,
        (Some(cached), Freshness::Recent) => (0..FRESH).contains(&cached.age),
        (_, Freshness::Cached) => true,
        (None, Freshness::Recent) => false,
    };
    match (cached, enough) {
        (Some(cached), true) => Ok(cached),
        (None, true) => Err(ToolsError::Fetch {
            by_hand: None,
            from: format!("registry {}", registry.name),
            why: "there is no cached copy of its index".into(),
        }),
        (old, false) => match (refresh(home, registry, context), old) {
            (Ok(fresh), _) => Ok(fresh),
            (Err(error @ ToolsError::Fetch { .. }), Some(old))
                if freshness == Freshness::Recent =>
            {
                Ok(Cached { stale: Some(error.to_string()), ..old })
            }
            (Err(error), _) => Err(error),
        },
    }
}

fn cached(home: &Home, registry: &Registry) -> Result<Option<Cached>> {
    let folder = folder(home, registry);
    let about = files::read(&folder.join("about.json"))?;
    let Some(about) = about.and_then(|text| serde_json::from_str::<About>(&text).ok()) else {
        return Ok(None);
    };
    if about.url != registry.url || about.reference != registry.reference {
        return Ok(None);
    }
    let Some(text) = files::read(&folder.join("index.yaml"))? else { return Ok(None) };
    let signature = files::read(&folder.join("index.yaml.minisig"))?;
    read(registry, &text, signature.as_deref(), about).map(Some)
}

fn read(registry: &Registry, text: &str, signature: Option<&str>, about: About) -> Result<Cached> {
    check_signature(registry, text.as_bytes(), signature)?;
    let index = Index::parse(text, Path::new("index.yaml"))?;
    // The digest is ours: ATK's indexes have none.
    let value = yaml::value(text).unwrap_or_default();
    let digest = |name: &str| -> Option<String> {
        let all = value["plugins"].as_array()?;
        let entry = all.iter().find(|e| e["name"].as_str() == Some(name))?;
        entry.get("sha256").and_then(Value::as_str).map(str::to_owned)
    };
    let plugins = index.plugins.into_iter().map(|entry| Listing {
        sha256: digest(entry.name.as_str()),
        name: entry.name,
        path: entry.path.trim_end_matches('/').to_owned(),
        description: entry.description,
    });
    let age = jiff::Timestamp::now().as_second() - about.fetched;
    Ok(Cached { plugins: plugins.collect(), about, age, stale: None })
}

fn refresh(home: &Home, registry: &Registry, context: &Context<'_>) -> Result<Cached> {
    context.at("fetching", &format!("registry {}", registry.name))?;
    files::folder(&home.cache())?;
    let cache = home.cache();
    let scratch = tempfile::Builder::new().prefix("fetch-").tempdir_in(&cache);
    let scratch = scratch.map_err(ToolsError::file("made", &cache))?;
    let remote = Remote::open(scratch.path(), &registry.url, context)?;
    let chosen = refs::resolve(&remote, registry.reference.as_deref())?;
    remote.bring(&chosen.commit)?;
    let names = ["index.yaml", "index.yaml.minisig"];
    let entries = remote.list(&chosen.commit, "")?.unwrap_or_default();
    let found: Vec<_> = entries
        .into_iter()
        .filter(|e| names.contains(&e.path.as_str()) && e.mode.starts_with("100"))
        .collect();
    let objects: Vec<String> = found.iter().map(|e| e.object.clone()).collect();
    let contents = remote.contents(&objects, 16 << 20)?;
    let text = |name: &str| {
        let at = found.iter().position(|e| e.path == name)?;
        String::from_utf8(contents.get(at)?.clone()).ok()
    };
    let index = text("index.yaml").ok_or_else(|| ToolsError::Fetch {
        by_hand: None,
        from: format!("registry {}", registry.name),
        why: "it has no index.yaml".into(),
    })?;
    let about = About {
        url: registry.url.clone(),
        reference: registry.reference.clone(),
        commit: chosen.commit,
        fetched: jiff::Timestamp::now().as_second(),
    };
    let signature = text("index.yaml.minisig");
    let cached = read(registry, &index, signature.as_deref(), about)?;
    store(home, registry, &cached.about, &index, signature.as_deref())?;
    Ok(cached)
}

/// `about.json` comes last: without it nothing is cached.
fn store(
    home: &Home,
    registry: &Registry,
    about: &About,
    index: &str,
    signature: Option<&str>,
) -> Result<()> {
    let folder = folder(home, registry);
    files::remove(&folder.join("about.json"))?;
    files::replace(&folder.join("index.yaml"), index.as_bytes(), 0o600)?;
    match signature {
        Some(text) => files::replace(&folder.join("index.yaml.minisig"), text.as_bytes(), 0o600)?,
        None => files::remove(&folder.join("index.yaml.minisig"))?,
    }
    let about = serde_json::to_vec_pretty(about).unwrap_or_default();
    files::replace(&folder.join("about.json"), &about, 0o600)
}

fn check_signature(registry: &Registry, bytes: &[u8], signature: Option<&str>) -> Result<()> {
    let Some(key) = &registry.key else { return Ok(()) };
    let bad = |why: String| ToolsError::Signature { registry: registry.name.clone(), why };
    let key = PublicKey::from_base64(key.trim()).map_err(|e| bad(format!("its key: {e}")))?;
    let text = signature.ok_or_else(|| bad("it has no index.yaml.minisig".into()))?;
    let signature = Signature::decode(text).map_err(|e| bad(e.to_string()))?;
    key.verify(bytes, &signature, true).map_err(|e| bad(e.to_string()))
}

/// With a key, the index vouches for the files too: otherwise whoever can write to the repository, but not sign,
/// could change them.
pub(crate) fn check_files(registry: &Registry, listing: &Listing, tree: &Tree) -> Result<()> {
    let bad = |why: String| ToolsError::Signature { registry: registry.name.clone(), why };
    match &listing.sha256 {
        Some(said) if *said != tree.digest() => {
            Err(bad(format!("the files of {} are others than its index says", listing.name)))
        }
        None if registry.key.is_some() => {
            Err(bad(format!("its index has no `sha256` for {}", listing.name)))
        }
        _ => Ok(()),
    }
}
