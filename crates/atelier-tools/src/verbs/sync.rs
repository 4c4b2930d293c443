//! `tool sync`: the home of this machine and that of others, through the repository that they share.

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::home::Writer;
use crate::{Home, Result, ToolsError};

/// Which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// Theirs here, then ours there.
    #[default]
    Both,
    /// Only theirs here.
    Pull,
    /// Only ours there.
    Push,
}

/// What was exchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Synced {
    /// Commits that came.
    pub pulled: u64,
    /// Commits that went.
    pub pushed: u64,
    /// Tools whose lock is another now: `atelier tool install --all` brings them.
    pub changed: Vec<String>,
}

/// Exchanges commits. Where both sides have some, ours go on top of theirs; where they meet in one place, nothing
/// is changed and the user decides.
///
/// # Errors
/// [`ToolsError::Git`]: no remote, no way to it, or changes that meet; [`ToolsError::Dirty`].
pub fn sync(home: &Home, way: Way, context: &Context<'_>) -> Result<Synced> {
    let writer = Writer::take(home, "tool sync", context)?;
    writer.git.refuse_unfinished()?;
    context.at("fetching", "the home's remote")?;
    if !writer.git.fetch()? {
        return Err(ToolsError::Git(
            "the home has no remote: `atelier tool git remote add origin URL`".into(),
        ));
    }
    let mut synced = Synced::default();
    let mut beside = writer.git.beside()?;
    if beside.upstream.is_some() && beside.behind > 0 {
        if way == Way::Push {
            return Err(ToolsError::Git(format!(
                "the remote has {} commits that are not here: `atelier tool sync` brings them first",
                beside.behind
            )));
        }
        let dirty = writer.git.edited()?;
        if !dirty.is_empty() {
            return Err(ToolsError::Dirty { paths: dirty });
        }
        context.at("pulling", &beside.branch)?;
        writer.git.pull(beside.ahead > 0).map_err(|error| match (beside.ahead, error) {
            (0, error) => error,
            (_, ToolsError::Git(why)) => ToolsError::Git(format!(
                "changes here and there meet in one place, so nothing was changed: {why}; `atelier tool git pull` lets you choose"
            )),
            (_, error) => error,
        })?;
        synced.pulled = beside.behind;
        synced.changed = changed(&writer)?;
        beside = writer.git.beside()?;
    }
    let first = beside.upstream.is_none();
    if way != Way::Pull && (first || beside.ahead > 0) {
        context.at("pushing", &beside.branch)?;
        writer.git.push()?;
        synced.pushed = beside.ahead;
    }
    Ok(synced)
}

fn changed(writer: &Writer) -> Result<Vec<String>> {
    let now = crate::home::Lock::read(&writer.home)?;
    let old = &writer.lock.tools;
    let differs = |slug: &&crate::Slug| old.get(*slug) != now.tools.get(*slug);
    let all: std::collections::BTreeSet<_> = old.keys().chain(now.tools.keys()).collect();
    Ok(all.into_iter().filter(differs).map(ToString::to_string).collect())
}
