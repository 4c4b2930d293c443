//! `tool ls` and `tool show`: what is installed. Read without waiting for anybody.

use std::collections::BTreeMap;

use atelier_plugin::Plugin;
use schemars::JsonSchema;
use serde::Serialize;

use super::report;
use crate::home::{Lock, Locked, LockedFile, LockedPackage, Manifest, Source, Unpinned};
use crate::{Home, Problem, Result, Slug, ToolsError, packages, source};

/// One installed tool, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Row {
    /// Its name here.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// What it is, in a line.
    pub description: String,
    /// Where it comes from.
    pub source: String,
    /// Commit, tag or version.
    pub version: String,
    /// Packages that are pinned.
    pub packages: usize,
    /// What it runs and nobody could pin.
    pub unpinned: usize,
    /// In the profile that is in use.
    pub active: bool,
    /// Why it can't be used, when it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Everything about one tool.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Shown {
    /// Its name here.
    pub slug: Slug,
    /// Where its files are.
    pub path: String,
    /// Where it comes from, as `tools.yaml` says.
    pub source: Option<Source>,
    /// What that was resolved to.
    pub resolved: String,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Plugin>,
    /// What is wrong with that.
    pub problems: Vec<Problem>,
    /// The packages that it runs, pinned.
    pub packages: Vec<LockedPackage>,
    /// They are installed.
    pub installed: bool,
    /// What it runs and nobody could pin.
    pub unpinned: Vec<Unpinned>,
    /// Files of it that the user changed, or that are missing.
    pub modified: Vec<String>,
    /// The user's own files for it.
    pub custom: Vec<String>,
    /// The profiles that it is in.
    pub profiles: Vec<String>,
}

/// All tools, sorted.
///
/// # Errors
/// [`ToolsError::NoHome`], and when manifest or lock are not valid.
pub fn ls(home: &Home) -> Result<Vec<Row>> {
    let (manifest, lock) = (Manifest::read(home)?, Lock::read(home)?);
    let wanted = manifest.wanted();
    let slugs: std::collections::BTreeSet<&Slug> =
        wanted.tools.keys().chain(lock.tools.keys()).collect();
    let active = |slug: &Slug| match wanted.profile.as_ref().and_then(|p| wanted.profiles.get(p)) {
        Some(profile) => profile.iter().any(|s| s == slug.as_str()),
        None => true,
    };
    let row = |slug: &Slug| {
        let locked = lock.tools.get(slug);
        let plugin = Plugin::load(&home.plugin(slug));
        let (name, description) = match &plugin {
            Ok(plugin) => (plugin.name.clone(), plugin.description.clone()),
            Err(_) => (slug.to_string(), String::new()),
        };
        let problem = match (locked, plugin) {
            (None, _) => Some("it is not installed yet: atelier tool install".to_owned()),
            (_, Err(error)) => Some(error.to_string()),
            _ => None,
        };
        Row {
            slug: slug.clone(),
            name,
            description,
            source: wanted
                .tools
                .get(slug)
                .map_or("in no manifest".into(), |t| source::describe(&t.source)),
            version: locked.map(|l| l.source.short()).unwrap_or_default(),
            packages: locked.map_or(0, |l| l.packages.len()),
            unpinned: locked.map_or(0, |l| l.unpinned.len()),
            active: active(slug),
            problem,
        }
    };
    Ok(slugs.into_iter().map(row).collect())
}

/// The names of all tools that the lock has, sorted.
///
/// # Errors
/// [`ToolsError::NoHome`], and when the lock is not valid.
pub fn installed(home: &Home) -> Result<Vec<Slug>> {
    if !home.manifest_file().exists() {
        return Err(ToolsError::NoHome(home.root().to_owned()));
    }
    Ok(Lock::read(home)?.tools.into_keys().collect())
}

/// The files of a tool that came with its plugin, relative to its folder.
///
/// # Errors
/// [`ToolsError::Unknown`], and when the lock is not valid.
pub fn files(home: &Home, slug: &Slug) -> Result<Vec<String>> {
    Ok(Lock::read(home)?.tool(slug)?.files.keys().cloned().collect())
}

/// One tool.
///
/// # Errors
/// [`ToolsError::Unknown`], and as [`ls`].
pub fn show(home: &Home, name: &str) -> Result<Shown> {
    let slug: Slug = name.parse()?;
    let (manifest, lock) = (Manifest::read(home)?, Lock::read(home)?);
    let wanted = manifest.wanted();
    let tool = wanted.tools.get(&slug);
    let locked = lock.tools.get(&slug).cloned();
    if tool.is_none() && locked.is_none() {
        let known = wanted.tools.keys().map(ToString::to_string).collect();
        return Err(ToolsError::Unknown { name: slug.to_string(), known });
    }
    let locked = locked.unwrap_or_default();
    let (plugin, problems) = match Plugin::load(&home.plugin(&slug)) {
        Ok(plugin) => (Some(plugin), Vec::new()),
        Err(error) => (None, super::validate::problems(&error, &home.plugin(&slug))),
    };
    let profiles =
        wanted.profiles.iter().filter(|(_, list)| list.iter().any(|s| s == slug.as_str()));
    let resolved = match tool {
        Some(tool) => report::from(&tool.source, &locked.source),
        None => locked.source.short(),
    };
    Ok(Shown {
        path: home.plugin(&slug).display().to_string(),
        source: tool.map(|t| t.source.clone()),
        resolved,
        plugin,
        problems,
        installed: packages::installed(home, &slug, &home.locks(&slug), locked.scripts),
        modified: modified(home, &slug, &locked).into_keys().collect(),
        custom: custom(home, &slug),
        profiles: profiles.map(|(name, _)| name.clone()).collect(),
        packages: locked.packages,
        unpinned: locked.unpinned,
        slug,
    })
}

/// Files that are not as the lock has them; nothing where one is missing.
pub(super) fn modified(
    home: &Home,
    slug: &Slug,
    locked: &Locked,
) -> BTreeMap<String, Option<LockedFile>> {
    let plugin = home.plugin(slug);
    let differs = |(path, file): (&String, &LockedFile)| {
        let now = source::look(&plugin.join(path));
        (now.as_ref() != Some(file)).then(|| (path.clone(), now))
    };
    locked.files.iter().filter_map(differs).collect()
}

fn custom(home: &Home, slug: &Slug) -> Vec<String> {
    let all = std::fs::read_dir(home.custom(slug)).into_iter().flatten().flatten();
    let mut names: Vec<_> = all.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
