//! `tool remove`: by its name only, never by a path. What is the user's stays, unless all is to go.

use schemars::JsonSchema;
use serde::Serialize;

use super::add::aside;
use crate::context::{Context, Plan};
use crate::home::{Change, Locked, Phase, Writer};
use crate::{Home, Result, Slug, source};

/// What to remove.
#[derive(Debug, Clone, Default)]
pub struct RemoveOptions {
    /// The user's files, settings, secrets and data too.
    pub purge: bool,
    /// Also when its `stop` or `uninstall` fails.
    pub force: bool,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Removed {
    /// Its name.
    pub slug: Slug,
    /// The agents that it was taken out of.
    pub unplugged: Vec<String>,
    /// What stays on this machine.
    pub kept: Vec<String>,
    /// What went wrong and was gone past.
    pub warnings: Vec<String>,
    /// The commit that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Removes a tool.
///
/// # Errors
/// [`crate::ToolsError::Unknown`]; [`crate::ToolsError::Hook`] when its own commands fail and nobody forced it.
pub fn remove(
    home: &Home,
    name: &str,
    options: &RemoveOptions,
    context: &Context<'_>,
) -> Result<Removed> {
    let slug: Slug = name.parse()?;
    let writer = Writer::take(home, &format!("tool remove {slug}"), context)?;
    writer.ready(&["tools.yaml", "tools.lock.json"])?;
    if !writer.manifest.wanted().tools.contains_key(&slug) {
        writer.lock.tool(&slug)?;
    }
    let locked = writer.lock.tools.get(&slug).cloned().unwrap_or_default();
    context.agree(&plan(home, &slug, &locked, options))?;
    let change = Change::begin(&writer, Some(&slug), format!("tool remove {slug}"))?;
    let (mut removed, commit) = change.run(context, |change| {
        let mut removed = Removed {
            slug: slug.clone(),
            unplugged: Vec::new(),
            kept: Vec::new(),
            warnings: Vec::new(),
            commit: None,
        };
        leave(change, &slug, options, context, &mut removed)?;
        takes(change, home, &slug, &locked, options, &mut removed)?;
        let mut lock = writer.lock.clone();
        lock.tools.remove(&slug);
        change.put_home(&writer.manifest.without_tool(&slug)?, &lock)?;
        context.at("prepared", slug.as_str())?;
        change.record.forward = true;
        change.place(context)?;
        Ok(removed)
    })?;
    removed.commit = commit;
    removed.kept.extend(kept(home, &slug));
    Ok(removed)
}

fn plan(home: &Home, slug: &Slug, locked: &Locked, options: &RemoveOptions) -> Plan {
    let mut files: Vec<String> =
        locked.files.keys().map(|f| format!("plugins/{slug}/{f}")).collect();
    if options.purge {
        files = [home.plugin(slug), home.values_file(slug), home.secrets_file(slug)]
            .iter()
            .filter(|p| p.exists())
            .map(|p| p.display().to_string())
            .collect();
    }
    Plan { slug: slug.to_string(), action: "remove".into(), files, ..Plan::default() }
}

/// Out of the agents, stopped, uninstalled.
fn leave(
    change: &mut Change<'_>,
    slug: &Slug,
    options: &RemoveOptions,
    context: &Context<'_>,
    removed: &mut Removed,
) -> Result<()> {
    let hooks = context.hooks;
    let mut past = |result: Result<()>| match result {
        Err(error) if options.force => {
            removed.warnings.push(error.to_string());
            Ok(())
        }
        other => other,
    };
    if hooks.is_running(slug) {
        change.record.running = true;
        change.phase(Phase::Preparing, context)?;
        context.at("stopping", slug.as_str())?;
        past(hooks.stop(slug))?;
    }
    context.at("uninstalling", slug.as_str())?;
    past(hooks.uninstall(slug))?;
    context.at("unplugging", slug.as_str())?;
    match hooks.unplug(slug) {
        Ok(agents) => removed.unplugged = agents,
        Err(error) => past(Err(error))?,
    }
    Ok(())
}

/// What goes; files that the user edited are copied aside.
fn takes(
    change: &mut Change<'_>,
    home: &Home,
    slug: &Slug,
    locked: &Locked,
    options: &RemoveOptions,
    removed: &mut Removed,
) -> Result<()> {
    for local in ["packages", "run", "installed"] {
        change.take(&format!(".local/{local}/{slug}"));
    }
    for name in locked.locks.keys() {
        change.take(&format!("locks/{slug}/{name}"));
    }
    if options.purge {
        change.take(&format!("plugins/{slug}"));
        change.take(&format!("values/{slug}.yaml"));
        change.take(&format!("secrets/{slug}.yaml"));
        return Ok(());
    }
    let edited = |(path, file): (&String, &crate::home::LockedFile)| {
        let now = source::look(&home.plugin(slug).join(path))?;
        (now != *file).then(|| path.clone())
    };
    let edited: Vec<String> = locked.files.iter().filter_map(edited).collect();
    removed.kept.extend(aside(home, slug, &edited)?);
    locked.files.keys().for_each(|path| change.take(&format!("plugins/{slug}/{path}")));
    Ok(())
}

/// What of a removed tool is still here.
fn kept(home: &Home, slug: &Slug) -> Vec<String> {
    [home.plugin(slug), home.values_file(slug), home.secrets_file(slug)]
        .iter()
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect()
}
