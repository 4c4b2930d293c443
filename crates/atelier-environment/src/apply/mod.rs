//! Bringing an environment's changes back: into the project's working tree, or as commits on a
//! new branch.
//!
//! - `there` is the tree to be changed, as it is now.
//! - `plan` decides for each path: take it, merge it, leave it, or refuse.
//! - `transaction` changes the working tree, wholly or not at all.
//! - `remembered` keeps what was brought back before, as the base of the next merge.
//! - `carried` takes an environment's changes to another machine.
//! - `branch` makes commits without touching the working tree.
//! - `unrender` says changes in rendered files of the project's own files.
//! - `unapplied` says what was not brought back yet.

mod branch;
mod carried;
mod objects;
mod plan;
mod remembered;
mod there;
mod transaction;
mod unapplied;
mod unrender;

use std::collections::BTreeSet;
use std::path::Path;

pub use carried::{carried, export};
use rustix::fs::{FlockOperation, flock};
use schemars::JsonSchema;
use serde::Serialize;

use crate::changes::{DiffOptions, pairs};
use crate::error::{Error, Result};
use crate::files::scan::Skipped;
use crate::project::Project;
use crate::quote::path_text;
use crate::workspace::Workspace;
use atelier_files::below::open_root;

pub(crate) use plan::{Way, make};
pub(crate) use remembered::Memory;
pub(crate) use transaction::{Left, Target, perform, recover, settle};
pub use unapplied::unapplied;

/// The journal's name in the environment's folder.
const JOURNAL: &str = "apply.journal";

/// How to bring changes back.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// Make commits on this new branch, and leave the working tree alone.
    pub branch: Option<String>,
    /// Also what git ignores.
    pub all: bool,
    /// The message of the commit for what the environment did not commit itself.
    pub message: Option<String>,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// What was brought back. Paths are text; bytes that are no UTF-8 are written as git quotes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Applied {
    /// Paths that were written or deleted.
    pub changed: Vec<String>,
    /// Those among them where both sides' changes were merged line by line.
    pub merged: Vec<String>,
    /// Changed paths that the project had already.
    pub unchanged: usize,
    /// The branch that was made.
    pub branch: Option<Branch>,
    /// What no change can hold.
    pub skipped: Vec<Skipped>,
    /// Whether this only says what would happen.
    pub dry_run: bool,
}

/// A branch with an environment's changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// The commit that it points to.
    pub commit: String,
    /// How many commits it has that the snapshot's commit has not.
    pub commits: usize,
    /// Files with changes that were in the project, uncommitted, when the environment was made:
    /// these changes are in the commit too, because a commit holds whole files.
    pub whole_files: Vec<String>,
}

/// Brings what the environment changed back to the project: all of it, or nothing.
///
/// In the working tree, a path that the project still has as it was is replaced; one that both
/// changed is merged line by line. On a branch, the environment's own commits come along, and what
/// it did not commit becomes one more commit.
///
/// # Errors
/// [`Error::Conflict`] lists every place where both changed the same lines; [`Error::Exists`] when
/// the branch is there; [`Error::Git`]; [`Error::Io`] when the project cannot be written. Nothing
/// is changed then.
pub fn apply(workspace: &Workspace, project: &Project, options: &ApplyOptions) -> Result<Applied> {
    let root = open_root(&project.root).map_err(|e| Error::io("open", &project.root, e))?;
    // Two environments must not change one project at the same time.
    flock(&root, FlockOperation::LockExclusive).map_err(|e| Error::io("lock", &project.root, e))?;
    recover_apply(workspace, project)?;
    let (layers, pairs, skipped) = pairs(workspace, project, DiffOptions { all: options.all })?;
    let own = unrender::own(workspace, layers, pairs, skipped)?;
    let (layers, pairs, skipped) = (&own.layers, &own.pairs, own.skipped.clone());
    if let Some(name) = &options.branch {
        let maker = branch::Maker { workspace, project, layers, options, name };
        let applied = maker.make(pairs, skipped)?;
        if !options.dry_run {
            Memory::branched(workspace).keep(layers, pairs);
            if applied.branch.is_some() {
                crate::branches::note(workspace, name);
            }
        }
        return Ok(applied);
    }
    let memory = Memory::applied(workspace);
    let plan = make(&project.root, layers, pairs, &memory, Way::APPLY, &BTreeSet::new())?;
    let text = |paths: &[Vec<u8>]| paths.iter().map(|p| path_text(p)).collect();
    let applied = Applied {
        changed: plan.steps.iter().map(|s| path_text(&s.path)).collect(),
        merged: text(&plan.merged),
        unchanged: plan.unchanged,
        skipped,
        dry_run: options.dry_run,
        branch: None,
    };
    if !options.dry_run {
        let journal = workspace.layer_dir().join(JOURNAL);
        let target = target(project, &journal);
        perform(target, layers, &plan)?;
        settle(target)?;
        memory.keep(layers, pairs);
        Memory::shown(workspace).keep(layers, &own.shown);
    }
    Ok(applied)
}

/// Takes back what an [`apply`] that was killed left half done. `apply` does this itself; a
/// control plane does it at start. Returns whether there was anything.
///
/// # Errors
/// When the project cannot be written.
pub fn recover_apply(workspace: &Workspace, project: &Project) -> Result<bool> {
    let journal = workspace.layer_dir().join(JOURNAL);
    let left = recover(target(project, &journal))?;
    if left == Left::Done {
        settle(target(project, &journal))?;
    }
    Ok(left != Left::Nothing)
}

fn target<'a>(project: &'a Project, journal: &'a Path) -> Target<'a> {
    Target { root: &project.root, journal, here: Way::APPLY.here }
}
