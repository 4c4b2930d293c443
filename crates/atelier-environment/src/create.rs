//! Making and removing workspaces: a snapshot on the newest base or a checkout of a commit, with
//! somewhere to write.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use atelier_config::Home;
use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::base::store::{NEW, OLD, locked, make_dir, unique};
use crate::error::{Error, Result};
use crate::files::metadata::Copier;
use crate::files::scan::{ScanOptions, now, scan};
use crate::project::Project;
use crate::recipe::{Recipe, Source};
use crate::snapshot::{Lower, Taker, write_all};
use crate::workspace::{LayerMode, Mode, Workspace};
use atelier_files::below::open_root;
use atelier_files::remove;

/// The ignore file of projects: what is not copied into environments.
pub const IGNORE_FILE: &str = ".atelierignore";

/// What of a project no environment gets: paths below its root, folders with all that is in them.
///
/// # Errors
/// When the project cannot be read.
pub fn left_out(project: &Project, home: &Home) -> Result<Vec<Vec<u8>>> {
    let home = rustix::fs::stat(home.root()).map(|s| (s.st_dev, s.st_ino));
    let options = ScanOptions {
        exclude: home.into_iter().collect(),
        ignore_file: Some(IGNORE_FILE),
        ..ScanOptions::default()
    };
    Ok(scan(&project.root, &options)?.ignored)
}

/// Makes a workspace of `project` in the new folder `layer_dir`. Until it is whole it has another
/// name; a killed process leaves nothing that [`Workspace::load`] finds.
///
/// # Errors
/// [`Error::Exists`] when `layer_dir` is there; [`Error::NoSpace`], [`Error::ReadOnly`] and others
/// when files cannot be copied; [`Error::Git`] when a ref is unknown.
pub fn create_workspace(
    project: &Project,
    home: &Home,
    layer_dir: &Path,
    recipe: &Recipe,
    mode: LayerMode,
) -> Result<Workspace> {
    let parent = layer_dir.parent().unwrap_or(Path::new("/"));
    make_dir(parent)?;
    if layer_dir.symlink_metadata().is_ok() {
        return Err(Error::Exists { what: format!("{}", layer_dir.display()) });
    }
    let new = parent.join(format!("{NEW}{}", unique()));
    make_dir(&new)?;
    let maker = Maker { project, home, layer_dir, new: &new, mode };
    let result = maker.make(recipe);
    if result.is_err() {
        let _ = remove(&new);
    }
    result
}

/// Deletes an environment's folder; returns the bytes that this freed. Its name is gone at once;
/// what a killed process leaves is found by [`crate::gc_leftovers`].
///
/// # Errors
/// [`Error::Mounted`] when something is still mounted inside.
pub fn remove_layers(layer_dir: &Path) -> Result<u64> {
    let parent = layer_dir.parent().unwrap_or(Path::new("/"));
    let old = parent.join(format!("{OLD}{}", unique()));
    match std::fs::rename(layer_dir, &old) {
        Ok(()) => Ok(remove(&old)?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(Error::io("delete", layer_dir, e)),
    }
}

struct Maker<'a> {
    project: &'a Project,
    home: &'a Home,
    layer_dir: &'a Path,
    new: &'a Path,
    mode: LayerMode,
}

impl Maker<'_> {
    fn make(&self, recipe: &Recipe) -> Result<Workspace> {
        // Held until the folder has its name: a cleaning process leaves it alone.
        let _lock = locked(self.new, FlockOperation::LockExclusive)?;
        let taker = Taker { project: self.project, home: self.home, recipe, new: self.new };
        let lower = taker.take()?;
        let mode = self.writable(&lower)?;
        // From here on everything is named as it will be.
        let lowers: Vec<_> = lower.layers.iter().map(|l| self.renamed(l)).collect();
        let base_id = lower.base_id();
        let head = head_of(&lower, recipe, self.project);
        let Lower { generation, skipped, stats, .. } = lower;
        let target = self.project.root.clone();
        let workspace =
            Workspace { target, lowers, mode, base_id, head, skipped, stats, synced: None };
        workspace.save(self.new)?;
        generation.pin(self.layer_dir)?;
        // Renaming onto an existing empty folder would succeed; two creators must not both win.
        renameat_with(CWD, self.new, CWD, self.layer_dir, RenameFlags::NOREPLACE).map_err(|e| {
            match e {
                Errno::EXIST => Error::Exists { what: format!("{}", self.layer_dir.display()) },
                e => Error::io("create", self.layer_dir, e),
            }
        })?;
        Ok(workspace)
    }

    fn renamed(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.new).map_or_else(|_| path.to_owned(), |p| self.layer_dir.join(p))
    }

    fn writable(&self, lower: &Lower) -> Result<Mode> {
        if self.mode == LayerMode::Overlay {
            let (upper, work) = (self.new.join("upper"), self.new.join("work"));
            make_dir(&upper)?;
            make_dir(&work)?;
            // The merged root shows the metadata of the top layer.
            let from =
                open_root(&lower.layers[0]).map_err(|e| Error::io("open", &lower.layers[0], e))?;
            let fd = open_root(&upper).map_err(|e| Error::io("open", &upper, e))?;
            Copier::new()
                .metadata(Some(from.as_fd()), fd.as_fd(), &lower.scan.root)
                .map_err(|e| Error::io("set the metadata of", &upper, e))?;
            return Ok(Mode::Overlay { upper: self.renamed(&upper), work: self.renamed(&work) });
        }
        let tree = self.new.join("tree");
        make_dir(&tree)?;
        lower.copy(&lower.scan.entries.iter().collect::<Vec<_>>(), &tree)?;
        write_all(&tree, &lower.rendered)?;
        Ok(Mode::Copy { tree: self.renamed(&tree), sealed: now() })
    }
}

/// The commit that a snapshot is on.
pub(crate) fn head_of(lower: &Lower, recipe: &Recipe, project: &Project) -> Option<String> {
    match &recipe.source {
        Source::Empty => None,
        _ => crate::git::head::of_layers(&lower.layers, project),
    }
}
