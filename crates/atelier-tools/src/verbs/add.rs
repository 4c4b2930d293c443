//! `tool add`: fetched, looked at, agreed to, pinned, placed, installed, committed. Or nothing of it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::report;
use crate::context::Context;
use crate::home::{
    Change, Locked, LockedPackage, Phase, Resolved, Tool, Unpinned, Writer, files, refuse_foreign,
};
use crate::packages::{self, Pinned};
use crate::source::{self, Fetched, Tree};
use crate::{Home, Result, Slug, ToolsError};

/// What to add.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// `NAME`, `GIT-URL[@REF][#SUBDIR]`, `PATH`, `mcp:NAME[@VERSION]`.
    pub what: String,
    /// Where relative paths begin: the user's folder.
    pub folder: PathBuf,
    /// Another name than its own.
    pub slug: Option<String>,
    /// npm packages may run their install scripts.
    pub scripts: bool,
}

/// What was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Added {
    /// Its name here.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// Where it came from.
    pub source: String,
    /// What that was resolved to.
    pub resolved: Resolved,
    /// The packages that it runs, pinned.
    pub packages: Vec<LockedPackage>,
    /// What it runs and nobody could pin.
    pub unpinned: Vec<Unpinned>,
    /// Settings that it needs and that have no default.
    pub needs: Vec<String>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// The commit that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Adds a tool.
///
/// # Errors
/// [`ToolsError`]: whatever the reason, the home is as it was before.
pub fn add(home: &Home, options: &AddOptions, context: &Context<'_>) -> Result<Added> {
    let doing = format!("tool add {}", source::without_password(&options.what));
    let writer = Writer::take(home, &doing, context)?;
    writer.ready(&["tools.yaml", "tools.lock.json"])?;
    let wanted = source::parse(&options.what, writer.manifest.wanted(), &options.folder)?;
    let change = Change::begin(&writer, None, doing)?;
    let scratch = change.folder().join("repo");
    let done = change.run(context, |change| {
        let fetched = source::fetch(home, writer.manifest.wanted(), &wanted, &scratch, context)?;
        let slug = match &options.slug {
            Some(slug) => slug.parse()?,
            None => fetched.slug.clone(),
        };
        let manner = Manner { scripts: options.scripts, hooks: true };
        install(change, fetched, &slug, manner, context)
    });
    let (mut added, commit) = done?;
    added.commit = commit;
    Ok(added)
}

/// How a tool is installed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// npm packages may run their install scripts.
    pub scripts: bool,
    /// Its own `install` is run.
    pub hooks: bool,
}

/// From fetched files to an installed tool; the caller commits.
pub(super) fn install(
    change: &mut Change<'_>,
    fetched: Fetched,
    slug: &Slug,
    manner: Manner,
    context: &Context<'_>,
) -> Result<Added> {
    let (writer, scripts) = (change.writer, manner.scripts);
    if writer.lock.tools.contains_key(slug) {
        return Err(ToolsError::Exists { what: "tool", name: slug.to_string() });
    }
    let wants = packages::find(&fetched.plugin, &fetched.tree);
    let from = report::from(&fetched.source, &fetched.resolved);
    let mut plan = report::plan("add", slug.as_str(), from.clone(), &fetched.plugin, &wants);
    plan.notes.clone_from(&fetched.tree.notes);
    plan.notes.extend(platform(&fetched.plugin));
    context.agree(&plan)?;
    change.record.slug = Some(slug.clone());
    change.record.message = format!("tool add {slug} ({from})");
    change.phase(Phase::Preparing, context)?;
    let pinned = packages::pin(slug, &wants, &change.folder().join("pin"), true, context)?;
    let mut notes = fetched.tree.notes.clone();
    let aside = put_aside(&writer.home, slug, &fetched.tree)?;
    notes.extend(
        aside.into_iter().map(|p| format!("a file of yours was in the way; it is now {p}")),
    );
    stage(change, slug, &fetched.tree, &pinned)?;
    let locked = locked(&fetched, &pinned, scripts);
    let mut lock = writer.lock.clone();
    lock.tools.insert(slug.clone(), locked);
    let tool = Tool { source: fetched.source.clone() };
    change.put_home(&writer.manifest.with_tool(slug, &tool)?, &lock)?;
    let locks = change.new_files().join("locks").join(slug.as_str());
    packages::install(&writer.home, slug, &locks, scripts, context)?;
    context.at("prepared", slug.as_str())?;
    change.place(context)?;
    packages::link(&writer.home, slug, scripts)?;
    if manner.hooks {
        let digest = fetched.tree.digest();
        let missing = first_install(change, slug, &fetched.plugin, &digest, context)?;
        if !missing.is_empty() && fetched.plugin.lifecycle.install.is_some() {
            notes.push(format!(
                "its `install` waits for settings: atelier tool setup {slug}, then atelier tool install {slug}"
            ));
        }
        plan.needs = missing;
    }
    Ok(Added {
        slug: slug.clone(),
        name: fetched.plugin.name,
        source: source::describe(&fetched.source),
        resolved: fetched.resolved,
        packages: pinned.packages,
        unpinned: pinned.unpinned,
        needs: plan.needs,
        notes,
        commit: None,
    })
}

/// Settings, then its own `install`; gives the settings that are missing.
fn first_install(
    change: &mut Change<'_>,
    slug: &Slug,
    plugin: &atelier_plugin::Plugin,
    digest: &str,
    context: &Context<'_>,
) -> Result<Vec<String>> {
    let root = change.writer.home.root();
    let settings = [format!("values/{slug}.yaml"), format!("secrets/{slug}.yaml")];
    let before = settings.clone().map(|path| root.join(path).exists());
    context.at("configuring", slug.as_str())?;
    let missing = context.hooks.configure(slug)?;
    // What was typed belongs to this change: into its commit, or away with it.
    for (path, existed) in settings.into_iter().zip(before) {
        if root.join(&path).exists() {
            change.record.puts.push((path, existed));
        }
    }
    if !missing.is_empty() {
        change.phase(Phase::Hooks, context)?;
        return Ok(missing);
    }
    change.record.installed = plugin.lifecycle.install.is_some();
    let note = installed_note(slug);
    change.record.puts.push((note.clone(), root.join(&note).exists()));
    change.phase(Phase::Hooks, context)?;
    if change.record.installed {
        context.hooks.install(slug)?;
    }
    files::replace(&root.join(note), digest.as_bytes(), 0o600)?;
    Ok(missing)
}

/// Says that this machine ran the `install` of these files.
pub(super) fn installed_note(slug: &Slug) -> String {
    format!(".local/installed/{slug}")
}

/// A word when a plugin is not made for this machine.
fn platform(plugin: &atelier_plugin::Plugin) -> Option<String> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let os = std::env::consts::OS;
    let here = [os.to_owned(), format!("{os}/{arch}")];
    let fits = plugin.platforms.is_empty() || plugin.platforms.iter().any(|p| here.contains(p));
    (!fits)
        .then(|| format!("it is made for {}, and this is {os}/{arch}", plugin.platforms.join(", ")))
}

/// What the lock says of a tool.
pub(super) fn locked(fetched: &Fetched, pinned: &Pinned, scripts: bool) -> Locked {
    let hash = |(name, bytes): (&String, &Vec<u8>)| (name.clone(), files::sha256(bytes));
    Locked {
        source: fetched.resolved.clone(),
        files: fetched.tree.locked(),
        packages: pinned.packages.clone(),
        locks: pinned.files.iter().map(hash).collect(),
        scripts,
        unpinned: pinned.unpinned.clone(),
    }
}

/// Writes a tool's new files where they wait for being placed.
pub(super) fn stage(
    change: &mut Change<'_>,
    slug: &Slug,
    tree: &Tree,
    pinned: &Pinned,
) -> Result<()> {
    for (path, file) in &tree.files {
        let path = format!("plugins/{slug}/{path}");
        file.write(&change.new_files().join(&path))?;
        change.put_staged(&path);
    }
    stage_locks(change, slug, pinned)
}

/// The same for what packages are installed from.
pub(super) fn stage_locks(change: &mut Change<'_>, slug: &Slug, pinned: &Pinned) -> Result<()> {
    for (name, bytes) in &pinned.files {
        change.put(&format!("locks/{slug}/{name}"), bytes, 0o644)?;
    }
    Ok(())
}

/// What lies where a new file goes, though no tool brought it, is copied aside.
fn put_aside(home: &Home, slug: &Slug, tree: &Tree) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for (path, file) in &tree.files {
        let here = home.plugin(slug).join(path);
        if source::look(&here).is_some_and(|now| now != file.locked()) {
            paths.push(path.clone());
        }
    }
    aside(home, slug, &paths)
}

/// Copies files of a plugin to `.local/replaced/SLUG/TIME/`; gives where they are now.
pub(super) fn aside(home: &Home, slug: &Slug, paths: &[String]) -> Result<Vec<String>> {
    let now = jiff::Timestamp::now().as_second().to_string();
    let mut out = Vec::new();
    for path in paths {
        let (from, to) = (home.plugin(slug).join(path), home.replaced(slug).join(&now).join(path));
        if from.is_file() && !to.exists() {
            if let Some(parent) = to.parent() {
                files::folder(parent)?;
            }
            std::fs::copy(&from, &to).map_err(ToolsError::file("copied", &from))?;
            out.push(to.display().to_string());
        }
    }
    Ok(out)
}

impl Writer {
    /// Refuses a home in which a commit of ours would lose or swallow something.
    pub(super) fn ready(&self, paths: &[&str]) -> Result<()> {
        if self.manifest.wanted().settings.commit {
            self.git.refuse_unfinished()?;
        }
        refuse_foreign(self, paths)
    }
}
