//! From a source to files: fetched, checked, read as a plugin. Nothing of it has run yet.

use std::path::Path;

use atelier_plugin::Plugin;

use super::registry::{self, Freshness};
use super::tree::Tree;
use super::{mcp_registry, refs, spec};
use crate::context::Context;
use crate::git::Remote;
use crate::home::{Kind, RegistryKind, Resolved, Source, Wanted};
use crate::{Home, Problem, Result, Slug, ToolsError};

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The source as the manifest will have it: the registry named.
    pub source: Source,
    pub resolved: Resolved,
    pub tree: Tree,
    pub plugin: Plugin,
    /// What it is called unless the user says otherwise.
    pub slug: Slug,
}

/// Fetches a source; `scratch` is an empty folder of the caller's.
pub(crate) fn fetch(
    home: &Home,
    wanted: &Wanted,
    source: &Source,
    scratch: &Path,
    context: &Context<'_>,
) -> Result<Fetched> {
    context.at("fetching", &describe(source))?;
    match source.kind {
        Kind::Registry => from_registry(home, wanted, source, scratch, context),
        Kind::Git => {
            let url = source.url.as_deref().unwrap_or_default();
            let remote = Remote::open(scratch, url, context)?;
            let chosen = refs::resolve(&remote, source.reference.as_deref())?;
            from_git(&remote, source.clone(), chosen, source.subdir.clone(), context)
        }
        Kind::Path => from_path(source, context),
        Kind::McpRegistry => {
            let (tree, version, name) = mcp_registry::fetch(source)?;
            let resolved = Resolved {
                kind: Kind::McpRegistry,
                url: source.url.clone(),
                version: Some(version),
                ..Resolved::default()
            };
            made(source.clone(), resolved, tree, Some(name))
        }
    }
}

/// A source in a few words.
pub(crate) fn describe(source: &Source) -> String {
    let name = source.name.as_deref().unwrap_or_default();
    match source.kind {
        Kind::Registry => {
            format!("registry {}", source.registry.as_deref().unwrap_or(name)).trim().to_owned()
        }
        Kind::Git => super::without_password(source.url.as_deref().unwrap_or_default()),
        Kind::Path => format!("path {}", source.path.as_deref().unwrap_or_default()),
        Kind::McpRegistry => match &source.path {
            Some(path) => format!("path {path}"),
            None => format!("mcp-registry {name}"),
        },
    }
}

fn from_registry(
    home: &Home,
    wanted: &Wanted,
    source: &Source,
    scratch: &Path,
    context: &Context<'_>,
) -> Result<Fetched> {
    let name = source.name.clone().unwrap_or_default();
    let mut known = Vec::new();
    let mut failed = None;
    for registry in &wanted.registries {
        let other = source.registry.as_ref().is_some_and(|r| *r != registry.name);
        if other || registry.kind == RegistryKind::Mcp {
            continue;
        }
        let cached = match registry::index(home, registry, Freshness::Now, context) {
            Ok(cached) => cached,
            Err(error @ ToolsError::Fetch { .. }) => {
                failed = failed.or(Some(error));
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(listing) = cached.find(&name) else {
            known.extend(cached.plugins.iter().map(|p| p.name.to_string()));
            continue;
        };
        let remote = Remote::open(scratch, &registry.url, context)?;
        let chosen = match &source.reference {
            Some(reference) => refs::resolve(&remote, Some(reference))?,
            None => refs::Chosen { commit: cached.about.commit.clone(), version: None },
        };
        let source = Source { registry: Some(registry.name.clone()), ..source.clone() };
        let newest = source.reference.is_none();
        let fetched = from_git(&remote, source, chosen, Some(listing.path.clone()), context)?;
        // An older commit has its own index; that one's key signs what is newest.
        if newest {
            registry::check_files(registry, listing, &fetched.tree)?;
        }
        return Ok(Fetched { slug: listing.name.clone(), ..fetched });
    }
    match (failed, &source.registry) {
        (Some(error), _) => Err(error),
        (None, Some(registry)) if !wanted.registries.iter().any(|r| r.name == *registry) => {
            Err(spec::missing(registry, wanted))
        }
        _ => {
            known.sort_by_key(|k| std::cmp::Reverse(likeness(k, &name)));
            known.truncate(8);
            Err(ToolsError::Missing { what: "tool in any registry named", name, known })
        }
    }
}

/// How much two names have in common, for suggestions: length of the common start.
fn likeness(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

fn from_git(
    remote: &Remote<'_>,
    source: Source,
    chosen: refs::Chosen,
    subdir: Option<String>,
    context: &Context<'_>,
) -> Result<Fetched> {
    context.at("fetching", &chosen.commit)?;
    remote.bring(&chosen.commit)?;
    let has = |folder: &str| -> Result<bool> {
        let entries = remote.list(&chosen.commit, folder)?.unwrap_or_default();
        Ok(entries.iter().any(|e| atelier_plugin::FILES.contains(&e.path.as_str())))
    };
    let subdir = match subdir {
        Some(subdir) => subdir,
        None if has("")? => String::new(),
        None if has(".atelier")? => ".atelier".into(),
        None if has(".atk")? => ".atk".into(),
        None => {
            let from = super::without_password(&remote.url);
            let why = "neither its root nor .atelier/ or .atk/ has a plugin.yaml".into();
            return Err(ToolsError::Fetch { from, why, by_hand: None });
        }
    };
    let tree = Tree::of_commit(remote, &chosen.commit, &subdir, &context.limits)?;
    let resolved = Resolved {
        kind: source.kind,
        url: Some(super::without_password(&remote.url)),
        commit: Some(chosen.commit),
        version: chosen.version,
        subdir: Some(subdir).filter(|s| !s.is_empty()),
    };
    made(source, resolved, tree, None)
}

fn from_path(source: &Source, context: &Context<'_>) -> Result<Fetched> {
    let path = Path::new(source.path.as_deref().unwrap_or_default());
    let path = ["", ".atelier", ".atk"]
        .iter()
        .map(|sub| path.join(sub))
        .find(|folder| atelier_plugin::FILES.iter().any(|name| folder.join(name).exists()));
    let given = source.path.clone().unwrap_or_default();
    let path = path.ok_or(atelier_plugin::PluginError::Missing(given.into()))?;
    let tree = Tree::of_folder(&path, context)?;
    made(source.clone(), Resolved { kind: Kind::Path, ..Resolved::default() }, tree, None)
}

fn made(source: Source, resolved: Resolved, tree: Tree, name: Option<String>) -> Result<Fetched> {
    let plugin = plugin_of(&tree)?;
    let slug = match name {
        Some(name) => Slug::of_name(&name)?,
        None => Slug::of_name(&plugin.name)?,
    };
    Ok(Fetched { source, resolved, tree, plugin, slug })
}

/// What the files say the plugin is.
pub(crate) fn plugin_of(tree: &Tree) -> Result<Plugin> {
    let found = atelier_plugin::FILES.iter().find_map(|name| Some((name, tree.text(name)?)));
    let Some((name, text)) = found else {
        let problems = vec![Problem::of("plugin.yaml", "there is none")];
        return Err(ToolsError::Invalid { subject: "the plugin".into(), problems });
    };
    Ok(Plugin::parse(text, Path::new(name))?)
}
