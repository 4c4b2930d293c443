//! What an environment changed that nobody has brought back: what would be lost with it.

use std::collections::BTreeSet;

use super::remembered::Memory;
use super::{there, unrender};
use crate::changes::side::Pair;
use crate::changes::{DiffOptions, pairs};
use crate::error::Result;
use crate::git::{Git, head};
use crate::project::Project;
use crate::quote::path_text;
use crate::workspace::Workspace;

/// The paths that the environment changed and that were neither applied nor are in the project; and its
/// branches with commits that the project has not. Files that git ignores do not count.
///
/// # Errors
/// When the layers or the project cannot be read.
pub fn unapplied(workspace: &Workspace, project: &Project) -> Result<Vec<String>> {
    let (layers, pairs, skipped) = pairs(workspace, project, DiffOptions::default())?;
    let own = unrender::own(workspace, layers, pairs, skipped)?;
    let (layers, pairs) = (&own.layers, &own.pairs);
    let known = [Memory::applied(workspace), Memory::branched(workspace)];
    let mut open: Vec<&Pair> =
        pairs.iter().filter(|pair| !known.iter().any(|m| m.is_current(layers, pair))).collect();
    if !open.is_empty() && project.root.is_dir() {
        open = there::missing(&project.root, layers, open)?;
    }
    let mut found: Vec<String> = open.iter().map(|pair| path_text(&pair.path)).collect();
    found.extend(commits(workspace, project)?);
    Ok(found)
}

/// Branches besides the one that is checked out, whose files are compared above.
fn commits(workspace: &Workspace, project: &Project) -> Result<Vec<String>> {
    let Some(git) = &project.git else { return Ok(Vec::new()) };
    let before: BTreeSet<_> = head::branches(&workspace.lowers)?.into_iter().collect();
    let now = head::branches(&workspace.layers())?;
    let current = head::of_layers(&workspace.layers(), project);
    let fresh: Vec<_> = now
        .into_iter()
        .filter(|branch| !before.contains(branch) && Some(&branch.1) != current.as_ref())
        .collect();
    if fresh.is_empty() || !git.common_dir.is_dir() {
        return Ok(Vec::new());
    }
    let asked: String = fresh.iter().map(|(_, id)| format!("{id}\n")).collect();
    let answers = Git::new(&git.common_dir)
        .args(["cat-file", "--batch-check"])
        .env("GIT_DIR", &git.common_dir)
        .input(asked.into_bytes())
        .run("look for the environment's commits")?;
    let lines = answers.split(|byte| *byte == b'\n');
    let missing = fresh.iter().zip(lines).filter(|(_, line)| line.ends_with(b" missing"));
    Ok(missing.map(|((name, _), _)| format!("commits on {name}")).collect())
}
