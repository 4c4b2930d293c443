//! `tool install`: brings files and packages to what the lock says, on this machine or on a new one.

use atelier_plugin::Plugin;
use schemars::JsonSchema;
use serde::Serialize;

use super::add::{self, Manner, aside, installed_note};
use super::list;
use crate::context::{Context, Plan};
use crate::home::{Change, Locked, Writer, files};
use crate::packages;
use crate::source::{self, Tree};
use crate::{Home, Result, Slug, ToolsError};

/// What to install.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// These tools; all when empty.
    pub tools: Vec<String>,
    /// Any difference to the lock is an error.
    pub frozen: bool,
    /// Files that the user changed become upstream's again; his are put aside.
    pub theirs: bool,
}

/// What was done for one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Installed {
    /// The tool.
    pub slug: String,
    /// What was done: `files`, `packages`, `install`, `added`. Empty: all was there.
    pub done: Vec<String>,
    /// What is not as the lock says, and stays.
    pub notes: Vec<String>,
}

/// Installs.
///
/// # Errors
/// [`ToolsError::Frozen`] with every difference; otherwise the first tool that fails.
pub fn install(
    home: &Home,
    options: &InstallOptions,
    context: &Context<'_>,
) -> Result<Vec<Installed>> {
    let mut writer = Writer::take(home, "tool install", context)?;
    let slugs = chosen(&writer, &options.tools)?;
    if options.frozen {
        let differences = differences(&writer, &slugs);
        if !differences.is_empty() {
            return Err(ToolsError::Frozen(differences));
        }
    }
    let mut all = Vec::new();
    for slug in slugs {
        context.at("tool", slug.as_str())?;
        all.push(match writer.lock.tools.get(&slug).cloned() {
            Some(locked) => bring(&writer, &slug, &locked, options, context)?,
            None => {
                let installed = fetch_new(&writer, &slug, context)?;
                writer.lock = crate::home::Lock::read(home)?;
                installed
            }
        });
    }
    Ok(all)
}

fn chosen(writer: &Writer, names: &[String]) -> Result<Vec<Slug>> {
    let wanted = &writer.manifest.wanted().tools;
    let mut slugs = Vec::new();
    for name in names {
        let slug: Slug = name.parse()?;
        if !wanted.contains_key(&slug) {
            writer.lock.tool(&slug)?;
        }
        slugs.push(slug);
    }
    if names.is_empty() {
        slugs.extend(wanted.keys().chain(writer.lock.tools.keys()).cloned());
        slugs.sort();
        slugs.dedup();
    }
    Ok(slugs)
}

/// Everything that is not as the lock says; what only is not installed yet is none.
fn differences(writer: &Writer, slugs: &[Slug]) -> Vec<String> {
    let mut all = Vec::new();
    for slug in slugs {
        let wanted = writer.manifest.wanted().tools.get(slug);
        match (wanted, writer.lock.tools.get(slug)) {
            (Some(_), None) => all.push(format!("{slug} is in tools.yaml and not in the lock")),
            (None, _) => all.push(format!("{slug} is in the lock and not in tools.yaml")),
            (Some(tool), Some(locked)) => {
                if tool.source.kind != locked.source.kind {
                    all.push(format!("{slug} has another source in tools.yaml than in the lock"));
                }
                for (path, now) in list::modified(&writer.home, slug, locked) {
                    let what = if now.is_some() { "changed" } else { "missing" };
                    all.push(format!("plugins/{slug}/{path} is {what}"));
                }
                let locks = bad_locks(&writer.home, slug, locked);
                all.extend(
                    locks.iter().map(|name| format!("locks/{slug}/{name} is changed or missing")),
                );
            }
        }
    }
    all
}

fn bad_locks(home: &Home, slug: &Slug, locked: &Locked) -> Vec<String> {
    let good = |name: &str, hash: &str| {
        std::fs::read(home.locks(slug).join(name)).is_ok_and(|bytes| files::sha256(&bytes) == hash)
    };
    let bad = locked.locks.iter().filter(|(name, hash)| !good(name, hash));
    bad.map(|(name, _)| name.clone()).collect()
}

fn bring(
    writer: &Writer,
    slug: &Slug,
    locked: &Locked,
    options: &InstallOptions,
    context: &Context<'_>,
) -> Result<Installed> {
    let home = &writer.home;
    let mut installed = Installed { slug: slug.to_string(), ..Installed::default() };
    let mut restore = Vec::new();
    for (path, now) in list::modified(home, slug, locked) {
        match now.is_none() || options.theirs {
            true => restore.push(path),
            false => installed.notes.push(format!("{path} stays as you changed it")),
        }
    }
    if !restore.is_empty() {
        aside(home, slug, &restore)?;
        files_back(writer, slug, locked, &restore, context)?;
        installed.done.push("files".into());
    }
    let locks: Vec<String> =
        bad_locks(home, slug, locked).iter().map(|name| format!("locks/{slug}/{name}")).collect();
    if !locks.is_empty() {
        writer.git.restore(&locks)?;
        if !bad_locks(home, slug, locked).is_empty() {
            return Err(ToolsError::Frozen(vec![format!(
                "{} are not what tools.lock.json says: atelier tool upgrade {slug} makes them anew",
                locks.join(", ")
            )]));
        }
        installed.done.push("locks".into());
    }
    if !packages::installed(home, slug, &home.locks(slug), locked.scripts) {
        packages::install(home, slug, &home.locks(slug), locked.scripts, context)?;
        packages::sweep(home, slug, locked.scripts)?;
        installed.done.push("packages".into());
    }
    hook(writer, slug, locked, context, &mut installed)?;
    Ok(installed)
}

/// Runs the plugin's `install` when this machine has not run that of these files.
fn hook(
    writer: &Writer,
    slug: &Slug,
    locked: &Locked,
    context: &Context<'_>,
    installed: &mut Installed,
) -> Result<()> {
    let home = &writer.home;
    let plugin = Plugin::load(&home.plugin(slug))?;
    let note = home.root().join(installed_note(slug));
    let tree = source::digest(&locked.files);
    if files::read(&note)?.as_deref() == Some(&tree) {
        return Ok(());
    }
    if let Some(line) = &plugin.lifecycle.install {
        context.agree(&Plan {
            slug: slug.to_string(),
            action: "install".into(),
            source: locked.source.short(),
            description: plugin.description.clone(),
            runs: vec![format!("install: {line}")],
            ..Plan::default()
        })?;
        let missing = context.hooks.configure(slug)?;
        if !missing.is_empty() {
            let names = missing.join(", ");
            let note =
                format!("its `install` waits for settings ({names}): atelier tool setup {slug}");
            installed.notes.push(note);
            return Ok(());
        }
        context.at("hooks", slug.as_str())?;
        context.hooks.install(slug)?;
        installed.done.push("install".into());
    }
    files::replace(&note, tree.as_bytes(), 0o600)
}

/// Files as they were committed, or from the source when the repository has others.
fn files_back(
    writer: &Writer,
    slug: &Slug,
    locked: &Locked,
    paths: &[String],
    context: &Context<'_>,
) -> Result<()> {
    let full: Vec<String> = paths.iter().map(|path| format!("plugins/{slug}/{path}")).collect();
    let _ = writer.git.restore(&full);
    let still: Vec<String> = list::modified(&writer.home, slug, locked)
        .into_keys()
        .filter(|path| paths.contains(path))
        .collect();
    if still.is_empty() {
        return Ok(());
    }
    let tree = refetch(writer, slug, locked, context)?;
    for path in still {
        let (Some(file), Some(wanted)) = (tree.files.get(&path), locked.files.get(&path)) else {
            continue;
        };
        if file.locked() != *wanted {
            return Err(ToolsError::Frozen(vec![format!(
                "{path} of {slug} is not what the lock says at its source"
            )]));
        }
        let here = writer.home.plugin(slug).join(&path);
        files::remove(&here)?;
        file.write(&here)?;
    }
    Ok(())
}

/// The locked version's files from where they came from.
fn refetch(writer: &Writer, slug: &Slug, locked: &Locked, context: &Context<'_>) -> Result<Tree> {
    let Some(tool) = writer.manifest.wanted().tools.get(slug) else { return Ok(Tree::default()) };
    let mut source = tool.source.clone();
    source.reference.clone_from(&locked.source.commit);
    source.version = locked.source.version.clone().filter(|_| locked.source.commit.is_none());
    let home = &writer.home;
    files::folder(&home.cache())?;
    let scratch = tempfile::Builder::new().prefix("fetch-").tempdir_in(home.cache());
    let scratch = scratch.map_err(ToolsError::file("made", &home.cache()))?;
    Ok(source::fetch(home, writer.manifest.wanted(), &source, scratch.path(), context)?.tree)
}

/// A tool that somebody wrote into `tools.yaml` by hand.
fn fetch_new(writer: &Writer, slug: &Slug, context: &Context<'_>) -> Result<Installed> {
    writer.ready(&["tools.lock.json"])?;
    let mut source = writer.manifest.wanted().tools[slug].source.clone();
    source.name.get_or_insert_with(|| slug.to_string());
    let change = Change::begin(writer, None, format!("tool install {slug}"))?;
    let scratch = change.folder().join("repo");
    let (added, _) = change.run(context, |change| {
        let fetched =
            source::fetch(&writer.home, writer.manifest.wanted(), &source, &scratch, context)?;
        add::install(change, fetched, slug, Manner { scripts: false, hooks: true }, context)
    })?;
    Ok(Installed { slug: slug.to_string(), done: vec!["added".into()], notes: added.notes })
}
