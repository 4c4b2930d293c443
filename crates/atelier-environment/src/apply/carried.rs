//! An environment's changes as two small trees, what each changed path was and what it became: for a
//! machine that has the project and not the environment. There they are a workspace like any other, so
//! that bringing them back is the same as everywhere.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use super::unrender::own;
use crate::changes::side::{Layers, Pair, Side};
use crate::changes::{DiffOptions, pairs};
use crate::error::{Error, Result};
use crate::files::scan::Skipped;
use crate::project::Project;
use crate::quote::as_path;
use crate::workspace::{Mode, Stats, Workspace};
use atelier_files::remove;

/// What changed paths were.
const OLD: &str = "old";
/// What they became.
const NEW: &str = "new";

/// Writes the changes into a folder, in place of what was written there before. Gives what no change
/// can hold.
///
/// # Errors
/// When the layers cannot be read, or the folder not be written.
pub fn export(
    workspace: &Workspace,
    project: &Project,
    options: DiffOptions,
    into: &Path,
) -> Result<Vec<Skipped>> {
    let (layers, pairs, skipped) = pairs(workspace, project, options)?;
    // Rendered lines stay in the environment, wherever its changes go.
    let own = own(workspace, layers, pairs, skipped)?;
    let _ = remove(into);
    for tree in [OLD, NEW] {
        let tree = into.join(tree);
        fs::create_dir_all(&tree).map_err(|e| Error::io("make", &tree, e))?;
    }
    for Pair { path, old, new } in &own.pairs {
        for (tree, side) in [(OLD, old), (NEW, new)] {
            let Some(side) = side else { continue };
            let target = into.join(tree).join(as_path(path));
            write(&own.layers, side, &target)?;
        }
    }
    Ok(own.skipped)
}

fn write(layers: &Layers, side: &Side, target: &Path) -> Result<()> {
    let fail = |e: io::Error| Error::io("write", target, e);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    if side.mode.is_link() {
        return symlink(as_path(&layers.read(side)?), target).map_err(fail);
    }
    let mut options = OpenOptions::new();
    let mut file: File =
        options.write(true).create_new(true).mode(0o600).open(target).map_err(fail)?;
    io::copy(&mut layers.file(side)?, &mut file).map_err(fail)?;
    let mode = side.leaf.entry.mode & 0o777;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)
}

/// The workspace that an export makes in the folder where it was brought to. What is remembered of it
/// (what was applied before, an apply under way) lies in the same folder.
#[must_use]
pub fn carried(folder: &Path, project: &Project) -> Workspace {
    Workspace {
        target: project.root.clone(),
        lowers: vec![folder.join(OLD)],
        // Nothing in it is as old as that: each file is read.
        mode: Mode::Copy { tree: folder.join(NEW), sealed: 0 },
        base_id: String::new(),
        head: None,
        skipped: Vec::new(),
        stats: Stats::default(),
        synced: None,
    }
}
