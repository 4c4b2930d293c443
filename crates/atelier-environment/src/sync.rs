//! Bringing what changed in the project into an environment: the way of an apply, backwards. What the
//! environment knows of the project is then the project as it is now, so that its own changes, and only
//! these, differ from that.
//!
//! The environment's tree is changed by one transaction. Between its end and [`settle`] the caller notes
//! that the environment has another snapshot; a kill in between is finished by [`recover`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use atelier_config::Home;

use crate::apply::{
    Left, Memory, Target, Way, make, perform, recover as put_back, settle as clean,
};
use crate::base::store::make_dir;
use crate::changes::pairs_between;
use crate::changes::side::Pair;
use crate::create::head_of;
use crate::error::{Error, Result};
use crate::files::scan::{Skipped, now};
use crate::project::Project;
use crate::quote::path_text;
use crate::recipe::Recipe;
use crate::snapshot::Taker;
use crate::workspace::{Synced, Workspace};
use atelier_files::remove;

/// The prefix of a snapshot's folder in the environment's.
const PREFIX: &str = "synced-";
/// What the environment will stand on when the transaction is done.
const INTENT: &str = "sync.json";
/// The transaction's journal.
const JOURNAL: &str = "sync.journal";

/// Whose lines stay where both sides changed the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// The project's.
    Project,
    /// The environment's.
    Environment,
}

/// How to bring changes in.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncOptions {
    /// Whose lines stay where both sides changed the same ones; without it that is an error.
    pub prefer: Option<Prefer>,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// What was brought in. Paths are text; bytes that are no UTF-8 are written as git quotes them.
#[derive(Debug, Default)]
pub struct Sync {
    /// Paths that were written or deleted in the environment.
    pub changed: Vec<String>,
    /// Those among them where both sides' changes were merged line by line.
    pub merged: Vec<String>,
    /// Files that git ignores, that both sides changed, and that stay as they are in the environment.
    pub kept: usize,
    /// What of the project could not be taken.
    pub skipped: Vec<Skipped>,
    /// What the environment stands on now; none when the project has not changed.
    pub synced: Option<Synced>,
}

/// Brings what changed in the project into the environment, whose files are at `tree` as its commands see
/// them: all of it, or nothing. The caller notes [`Sync::synced`] and then calls [`settle`].
///
/// # Errors
/// [`Error::Conflict`] lists every place that both changed; [`Error::Io`] and others when files cannot be
/// read or written. Nothing is changed then.
pub fn sync(
    workspace: &Workspace,
    project: &Project,
    home: &Home,
    recipe: &Recipe,
    tree: &Path,
    options: SyncOptions,
) -> Result<Sync> {
    sweep(workspace)?;
    let id = format!("{:x}", now());
    let new = workspace.layer_dir().join(format!("{PREFIX}{id}"));
    make_dir(&new)?;
    let bringer = Bringer { workspace, project, recipe, tree, options };
    let result = bringer.bring(&Taker { project, home, recipe, new: &new }, &id);
    if !matches!(&result, Ok(done) if done.synced.is_some()) {
        let _ = remove(&new);
    }
    result
}

struct Bringer<'a> {
    workspace: &'a Workspace,
    project: &'a Project,
    recipe: &'a Recipe,
    tree: &'a Path,
    options: SyncOptions,
}

impl Bringer<'_> {
    fn bring(&self, taker: &Taker<'_>, id: &str) -> Result<Sync> {
        let lower = taker.take()?;
        lower.generation.pin(self.workspace.layer_dir())?;
        let old = self.workspace.snapshot();
        let (layers, pairs) = pairs_between(old, &lower.layers, None)?;
        let mut done = Sync { skipped: lower.skipped.clone(), ..Sync::default() };
        if pairs.is_empty() {
            return Ok(done);
        }
        let soft = self.ignored(old, &lower.layers, &pairs)?;
        let way =
            Way { take: self.options.prefer.map(|side| side == Prefer::Project), ..Way::SYNC };
        let memory = Memory::inside(self.workspace);
        let plan = make(self.tree, &layers, &pairs, &memory, way, &soft)?;
        done.changed = plan.steps.iter().map(|step| path_text(&step.path)).collect();
        done.merged = plan.merged.iter().map(|path| path_text(path)).collect();
        done.kept = plan.kept;
        if self.options.dry_run {
            return Ok(done);
        }
        let synced = Synced {
            id: id.to_owned(),
            lowers: lower.layers.clone(),
            base_id: lower.base_id(),
            head: head_of(&lower, self.recipe, self.project),
        };
        self.note(&synced)?;
        perform(target(self.tree, &journal(self.workspace)), &layers, &plan)?;
        done.synced = Some(synced);
        Ok(done)
    }

    /// The paths that git ignores: where both sides changed one of them, the environment's stays.
    fn ignored(&self, old: &[PathBuf], new: &[PathBuf], all: &[Pair]) -> Result<BTreeSet<Vec<u8>>> {
        let (_, kept) = pairs_between(old, new, Some(self.project))?;
        let kept: BTreeSet<&[u8]> = kept.iter().map(|pair| pair.path.as_slice()).collect();
        let paths = all.iter().map(|pair| &pair.path);
        Ok(paths.filter(|path| !kept.contains(path.as_slice())).cloned().collect())
    }

    fn note(&self, synced: &Synced) -> Result<()> {
        let path = self.workspace.layer_dir().join(INTENT);
        let fail = |e: std::io::Error| Error::io("write", &path, e);
        let json = serde_json::to_vec(synced).map_err(|e| fail(e.into()))?;
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, json).and_then(|()| std::fs::rename(&fresh, &path)).map_err(fail)
    }
}

/// Whether a sync was interrupted while files were changed: [`recover`] then needs the tree.
#[must_use]
pub fn is_half_synced(workspace: &Workspace) -> bool {
    journal(workspace).exists()
}

/// After a kill: puts the tree back, or says on what the environment stands because all files were brought
/// in. Then the caller notes that and calls [`settle`].
///
/// # Errors
/// When the tree cannot be written.
pub fn recover(workspace: &Workspace, tree: &Path) -> Result<Option<Synced>> {
    let intent = workspace.layer_dir().join(INTENT);
    let left = put_back(target(tree, &journal(workspace)))?;
    let read = std::fs::read(&intent).ok().and_then(|json| serde_json::from_slice(&json).ok());
    if left == Left::Done && read.is_some() {
        return Ok(read);
    }
    settle(workspace, tree)?;
    Ok(None)
}

/// Lets go of what a sync replaced, after the caller has noted what the environment stands on now.
///
/// # Errors
/// When something cannot be deleted.
pub fn settle(workspace: &Workspace, tree: &Path) -> Result<()> {
    workspace.save(workspace.layer_dir())?;
    clean(target(tree, &journal(workspace)))?;
    sweep(workspace)
}

/// Removes what belongs to no snapshot in use.
fn sweep(workspace: &Workspace) -> Result<()> {
    let dir = workspace.layer_dir();
    let kept = workspace.synced.as_ref().map(|synced| synced.id.as_str());
    let _ = std::fs::remove_file(dir.join(INTENT));
    let listing = std::fs::read_dir(dir).map_err(|e| Error::io("read", dir, e))?;
    for entry in listing.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let old = match name.split_once('-') {
            Some(("synced" | "applied" | "branched" | "shown", id)) => Some(id) != kept,
            _ => matches!(name, "applied" | "branched" | "shown") && kept.is_some(),
        };
        if old {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn journal(workspace: &Workspace) -> PathBuf {
    workspace.layer_dir().join(JOURNAL)
}

const fn target<'a>(tree: &'a Path, journal: &'a Path) -> Target<'a> {
    Target { root: tree, journal, here: Way::SYNC.here }
}
