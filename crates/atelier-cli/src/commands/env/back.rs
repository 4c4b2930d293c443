//! The way back from a far host: an environment's changes come here and are applied here, by the same
//! rules as those of an environment of this machine.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use atelier_api::env::{Applied, EnvApply, EnvApplyInput, EnvExport, EnvExportInput};

use crate::context::Context;
use crate::failure::Failure;
use crate::far::Connected;

/// Fetches and applies. The project of `input` is the folder here.
pub(super) fn bring(
    context: &Context<'_>,
    connected: &Connected,
    input: EnvApplyInput,
) -> Result<Applied, Failure> {
    match input.branch.clone() {
        Some(branch) => on_branch(context, connected, input, &branch),
        None => in_tree(context, connected, &input),
    }
}

fn in_tree(
    context: &Context<'_>,
    connected: &Connected,
    input: &EnvApplyInput,
) -> Result<Applied, Failure> {
    let project = context.mirrored(input.project.clone())?;
    let asked = EnvExportInput { env: input.env.clone(), project, all: input.all };
    let exported = context.call::<EnvExport>(&asked)?;
    // By the environment's id: what was applied before is remembered there, and a new environment of
    // the same name has nothing to do with it.
    let far = &connected.far;
    let id: String =
        exported.id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let folder = context.home()?.far().join("changes").join(&far.ssh.host().name).join(id);
    for tree in ["old", "new"] {
        let here = folder.join(tree);
        make(&here)?;
        far.fetch(&exported.folder.as_path().join(tree), &here)?;
    }
    let mut applied = context.hooks.bring_back(&folder, input)?;
    applied.notes.extend(exported.notes);
    Ok(applied)
}

/// Commits are made there, where the environment's own are, and then fetched as git fetches.
fn on_branch(
    context: &Context<'_>,
    connected: &Connected,
    input: EnvApplyInput,
    branch: &str,
) -> Result<Applied, Failure> {
    let root = context.hooks.project_root(input.project.as_path())?;
    // So that it has the commits that are here, and no branch that is not.
    let project = context.sent(input.project.as_path(), false)?;
    let dry_run = input.dry_run;
    connected.far.commit_as(&root, &connected.far.mirror(&root))?;
    let applied = context.call::<EnvApply>(&EnvApplyInput { project, ..input })?;
    if !dry_run && applied.commit.is_some() {
        connected.far.fetch_branch(&connected.far.mirror(&root), &root, branch)?;
    }
    Ok(applied)
}

fn make(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
    made.map_err(|e| Failure::of_file("made", folder, &e))
}
