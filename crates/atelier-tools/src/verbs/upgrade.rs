//! `tool upgrade` and `tool outdated`: the new version is assembled and checked beside the old one, then swapped in,
//! and whatever fails leaves the old one, running if it ran.

use std::collections::BTreeMap;

use atelier_plugin::Plugin;
use schemars::JsonSchema;
use serde::Serialize;

use super::add::{aside, installed_note, locked, stage_locks};
use super::{list, report};
use crate::context::Context;
use crate::home::{
    Change, Kind, Locked, LockedFile, LockedPackage, Phase, Source, Tool, Unpinned, Writer, files,
    yaml,
};
use crate::packages::{self, Pinned, Wants};
use crate::source::{self, Fetched};
use crate::{Home, Result, Slug, ToolsError};

/// What becomes of files that both the user and the new version changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefer {
    /// The upgrade is refused.
    #[default]
    Neither,
    /// The user's stay.
    Ours,
    /// The new ones come, the user's are put aside.
    Theirs,
}

/// How to upgrade.
#[derive(Debug, Clone, Default)]
pub struct UpgradeOptions {
    /// Another branch, tag, commit, range or version than `tools.yaml` says.
    pub to: Option<String>,
    /// Whose files count.
    pub prefer: Prefer,
}

/// What an upgrade did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Upgraded {
    /// The tool.
    pub slug: String,
    /// What was installed.
    pub from: String,
    /// What is (or would be) now.
    pub to: String,
    /// Nothing is (or would be) other than before.
    pub same: bool,
    /// Files that changed, came or went.
    pub files: Vec<String>,
    /// Files that stay as the user changed them.
    pub kept: Vec<String>,
    /// Where versions of the user's that gave way are now.
    pub replaced: Vec<String>,
    /// Packages whose pins changed: `npm x 1.0.0 -> 1.1.0`.
    pub packages: Vec<String>,
    /// What runs and nobody could pin.
    pub unpinned: Vec<Unpinned>,
    /// Settings that the new version needs and that have no value.
    pub needs: Vec<String>,
    /// The commit that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// One of several.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Outcome {
    /// The tool.
    pub slug: String,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<Upgraded>,
    /// Or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<atelier_api::Problem>,
}

/// Upgrades one tool.
///
/// # Errors
/// [`ToolsError`]: whatever the reason, the old version is in place, and runs if it ran.
pub fn upgrade(
    home: &Home,
    name: &str,
    options: &UpgradeOptions,
    context: &Context<'_>,
) -> Result<Upgraded> {
    let slug: Slug = name.parse()?;
    let writer = Writer::take(home, &format!("tool upgrade {slug}"), context)?;
    writer.ready(&["tools.yaml", "tools.lock.json"])?;
    let old = writer.lock.tool(&slug)?.clone();
    let source = wanted(&writer.manifest, &slug, options.to.as_deref())?;
    let change = Change::begin(&writer, Some(&slug), format!("tool upgrade {slug}"))?;
    let (mut upgraded, commit) = change.run(context, |change| {
        let scratch = change.folder().join("repo");
        let fetched = source::fetch(home, writer.manifest.wanted(), &source, &scratch, context)?;
        let wants = packages::find(&fetched.plugin, &fetched.tree);
        let pinned = packages::pin(&slug, &wants, &change.folder().join("pin"), true, context)?;
        let mut upgraded = compare(home, &slug, &old, &fetched, &pinned, options.prefer)?;
        let moves = options.to.is_some() && source != writer.manifest.wanted().tools[&slug].source;
        if upgraded.same && !moves {
            return Ok(upgraded);
        }
        let plan = plan(&slug, &fetched, &wants, &upgraded);
        context.agree(&plan)?;
        swap(change, &slug, &old, &fetched, &pinned, &mut upgraded, context)?;
        Ok(upgraded)
    })?;
    upgraded.commit = commit;
    Ok(upgraded)
}

/// Upgrades every tool, each on its own: one that fails holds up no other.
///
/// # Errors
/// [`ToolsError::NoHome`] and a broken manifest; what fails for one tool is in its outcome.
pub fn upgrade_all(
    home: &Home,
    options: &UpgradeOptions,
    context: &Context<'_>,
) -> Result<Vec<Outcome>> {
    crate::home::Manifest::read(home)?;
    let lock = crate::home::Lock::read(home)?;
    each(lock.tools.keys(), context, |slug| upgrade(home, slug.as_str(), options, context))
}

/// What `upgrade` would do, for one tool or all. Changes nothing.
///
/// # Errors
/// As [`upgrade_all`].
pub fn outdated(home: &Home, name: Option<&str>, context: &Context<'_>) -> Result<Vec<Outcome>> {
    let (manifest, lock) = (crate::home::Manifest::read(home)?, crate::home::Lock::read(home)?);
    let only: Option<Slug> = name.map(str::parse).transpose()?;
    if let Some(slug) = &only {
        lock.tool(slug)?;
    }
    files::folder(&home.cache())?;
    let slugs = lock.tools.keys().filter(|slug| only.as_ref().is_none_or(|only| only == *slug));
    each(slugs, context, |slug| {
        let cache = home.cache();
        let scratch = tempfile::Builder::new().prefix("fetch-").tempdir_in(&cache);
        let scratch = scratch.map_err(ToolsError::file("made", &cache))?;
        let source = wanted(&manifest, slug, None)?;
        let repo = scratch.path().join("repo");
        let fetched = source::fetch(home, manifest.wanted(), &source, &repo, context)?;
        let wants = packages::find(&fetched.plugin, &fetched.tree);
        let pinned = packages::pin(slug, &wants, &scratch.path().join("pin"), false, context)?;
        compare(home, slug, lock.tool(slug)?, &fetched, &pinned, Prefer::Ours)
    })
}

fn each<'s>(
    slugs: impl Iterator<Item = &'s Slug>,
    context: &Context<'_>,
    one: impl Fn(&Slug) -> Result<Upgraded>,
) -> Result<Vec<Outcome>> {
    use atelier_api::Fault;
    let mut outcomes = Vec::new();
    for slug in slugs {
        context.at("tool", slug.as_str())?;
        let (done, failed) = match one(slug) {
            Ok(done) => (Some(done), None),
            Err(ToolsError::Cancelled) => return Err(ToolsError::Cancelled),
            Err(error) => (None, Some(error.problem())),
        };
        outcomes.push(Outcome { slug: slug.to_string(), done, failed });
    }
    Ok(outcomes)
}

/// Where the new version comes from.
fn wanted(manifest: &crate::home::Manifest, slug: &Slug, to: Option<&str>) -> Result<Source> {
    let tool = manifest.wanted().tools.get(slug).ok_or_else(|| ToolsError::Missing {
        what: "entry in tools.yaml for",
        name: slug.to_string(),
        known: Vec::new(),
    })?;
    let mut source = tool.source.clone();
    if source.kind == Kind::Registry && source.name.is_none() {
        source.name = Some(slug.to_string());
    }
    match (to, source.kind) {
        (None, _) => {}
        (Some(to), Kind::McpRegistry) => source.version = Some(to.to_owned()),
        (Some(_), Kind::Path) => {
            return Err(ToolsError::Usage(format!(
                "{slug} comes from a folder, which has no other versions"
            )));
        }
        (Some("latest"), _) => source.reference = None,
        (Some(to), _) => source.reference = Some(to.to_owned()),
    }
    Ok(source)
}

/// What is other than before, and what the user's edits mean for it.
fn compare(
    home: &Home,
    slug: &Slug,
    old: &Locked,
    fetched: &Fetched,
    pinned: &Pinned,
    prefer: Prefer,
) -> Result<Upgraded> {
    let new = fetched.tree.locked();
    let mut changed: Vec<String> =
        new.iter().filter(|(p, f)| old.files.get(*p) != Some(f)).map(|(p, _)| p.clone()).collect();
    changed.extend(old.files.keys().filter(|path| !new.contains_key(*path)).cloned());
    changed.sort();
    let edited = list::modified(home, slug, old);
    let mut kept: Vec<String> = edited.keys().filter(|p| !changed.contains(p)).cloned().collect();
    let conflicts = conflicts(home, slug, old, &new, &changed, &edited);
    if !conflicts.is_empty() && prefer == Prefer::Neither {
        return Err(ToolsError::Edited { slug: slug.to_string(), files: conflicts });
    }
    let mut replaced = Vec::new();
    match prefer {
        Prefer::Theirs => replaced = conflicts,
        _ => kept.extend(conflicts),
    }
    let packages = moved(&old.packages, &pinned.packages);
    let locks =
        pinned.files.iter().map(|(n, b)| (n.clone(), files::sha256(b))).collect::<BTreeMap<_, _>>();
    let same = changed.is_empty() && locks == old.locks && pinned.packages == old.packages;
    Ok(Upgraded {
        slug: slug.to_string(),
        from: old.source.short(),
        to: fetched.resolved.short(),
        same,
        files: changed,
        kept,
        replaced,
        packages,
        unpinned: pinned.unpinned.clone(),
        needs: needs(home, slug, &fetched.plugin),
        commit: None,
    })
}

/// Files that the new version changes and that are no longer (or never were) as it left them.
fn conflicts(
    home: &Home,
    slug: &Slug,
    old: &Locked,
    new: &BTreeMap<String, LockedFile>,
    changed: &[String],
    edited: &BTreeMap<String, Option<LockedFile>>,
) -> Vec<String> {
    let conflict = |path: &&String| match edited.get(*path) {
        // What the user removed and the new version has no more is no conflict.
        Some(now) => now.as_ref() != new.get(*path),
        None if old.files.contains_key(*path) => false,
        None => {
            let now = source::look(&home.plugin(slug).join(path));
            now.is_some() && now.as_ref() != new.get(*path)
        }
    };
    changed.iter().filter(conflict).cloned().collect()
}

fn moved(old: &[LockedPackage], new: &[LockedPackage]) -> Vec<String> {
    let same = |one: &LockedPackage, other: &LockedPackage| {
        one.kind == other.kind && one.name == other.name
    };
    let mut out = Vec::new();
    for package in new {
        match old.iter().find(|p| same(p, package)) {
            None => out.push(format!("{} (new)", report::package(package))),
            Some(was) if was.version != package.version => {
                let name = report::package(was);
                out.push(format!("{name} -> {}", package.version));
            }
            Some(was) if was != package => {
                out.push(format!("{} (other contents)", report::package(package)));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|p| !new.iter().any(|n| same(p, n)));
    out.extend(gone.map(|p| format!("{} (gone)", report::package(p))));
    out
}

/// Required settings without a default that neither file of the tool's settings names.
fn needs(home: &Home, slug: &Slug, plugin: &Plugin) -> Vec<String> {
    let read = |path: std::path::PathBuf| {
        let text = files::read(&path).ok().flatten()?;
        yaml::value(&text).ok()
    };
    let known = [read(home.values_file(slug)), read(home.secrets_file(slug))];
    let has = |name: &str| {
        let mut values = known.iter().flatten();
        values.any(|v| [v, &v["values"], &v["secrets"]].iter().any(|v| v.get(name).is_some()))
    };
    let required = plugin.env_vars.iter().filter(|v| v.required && v.default.is_none());
    required.filter(|v| !has(&v.name)).map(|v| v.name.clone()).collect()
}

fn plan(slug: &Slug, fetched: &Fetched, wants: &Wants, upgraded: &Upgraded) -> crate::Plan {
    let from = report::from(&fetched.source, &fetched.resolved);
    let mut plan = report::plan("upgrade", slug.as_str(), from, &fetched.plugin, wants);
    plan.files.clone_from(&upgraded.files);
    plan.packages.clone_from(&upgraded.packages);
    plan.needs.clone_from(&upgraded.needs);
    plan.notes.extend(upgraded.kept.iter().map(|path| format!("{path} stays as you changed it")));
    plan.notes.extend(
        upgraded.replaced.iter().map(|path| format!("{path} is replaced; yours is put aside")),
    );
    plan
}

fn swap(
    change: &mut Change<'_>,
    slug: &Slug,
    old: &Locked,
    fetched: &Fetched,
    pinned: &Pinned,
    upgraded: &mut Upgraded,
    context: &Context<'_>,
) -> Result<()> {
    let (writer, home) = (change.writer, &change.writer.home);
    change.record.message =
        format!("tool upgrade {slug} ({})", report::from(&fetched.source, &fetched.resolved));
    change.record.upgrade = true;
    upgraded.replaced = aside(home, slug, &upgraded.replaced)?;
    for path in upgraded.files.iter().filter(|path| !upgraded.kept.contains(path)) {
        let place = format!("plugins/{slug}/{path}");
        match fetched.tree.files.get(path) {
            Some(file) => {
                file.write(&change.new_files().join(&place))?;
                change.put_staged(&place);
            }
            None => change.take(&place),
        }
    }
    stage_locks(change, slug, pinned)?;
    let gone = old.locks.keys().filter(|name| !pinned.files.contains_key(*name));
    gone.for_each(|name| change.take(&format!("locks/{slug}/{name}")));
    let mut lock = writer.lock.clone();
    lock.tools.insert(slug.clone(), locked(fetched, pinned, old.scripts));
    let tool = Tool { source: fetched.source.clone() };
    change.put(&installed_note(slug), fetched.tree.digest().as_bytes(), 0o600)?;
    change.put_home(&writer.manifest.with_tool(slug, &tool)?, &lock)?;
    let locks = change.new_files().join("locks").join(slug.as_str());
    packages::install(home, slug, &locks, old.scripts, context)?;
    context.at("prepared", slug.as_str())?;
    exchange(change, slug, old.scripts, &upgraded.needs, context)
}

/// Stopped, swapped, installed, started, asked how it is.
fn exchange(
    change: &mut Change<'_>,
    slug: &Slug,
    scripts: bool,
    needs: &[String],
    context: &Context<'_>,
) -> Result<()> {
    let (home, hooks) = (&change.writer.home, context.hooks);
    if hooks.is_running(slug) {
        if !needs.is_empty() {
            return Err(ToolsError::Other {
                code: "tool.settings",
                exit: atelier_api::ExitCode::Configuration,
                message: format!("{slug} runs, and its new version needs {}", needs.join(", ")),
                hints: vec![format!("stop it, upgrade it, then: atelier tool setup {slug}")],
            });
        }
        change.record.running = true;
        change.phase(Phase::Preparing, context)?;
        context.at("stopping", slug.as_str())?;
        hooks.stop(slug)?;
    }
    change.place(context)?;
    packages::link(home, slug, scripts)?;
    let plugin = Plugin::load(&home.plugin(slug))?;
    if plugin.lifecycle.install.is_some() || change.record.running {
        change.record.installed = true;
        change.phase(Phase::Hooks, context)?;
    }
    if plugin.lifecycle.install.is_some() {
        hooks.install(slug)?;
    }
    if change.record.running {
        context.at("starting", slug.as_str())?;
        hooks.start(slug)?;
        context.at("checking", slug.as_str())?;
        hooks.health(slug)?;
    }
    Ok(())
}
