//! Making and removing workspaces: a snapshot on the newest base or a checkout of a commit, with
//! somewhere to write.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::base::checkout;
use crate::base::delta::{Delta, compare, make_base, make_layer};
use crate::base::manifest::Manifest;
use crate::base::store::{Bases, Generation, NEW, OLD, locked, make_dir, unique};
use crate::error::{Error, Result};
use crate::files::beneath::open_root;
use crate::files::copy::{Item, Job, copy};
use crate::files::data::Copier;
use crate::files::entry::Entry;
use crate::files::remove::remove_tree;
use crate::files::scan::{Scan, ScanOptions, Skipped, now, scan};
use crate::project::Project;
use crate::shared_scan::SharedScans;
use crate::workspace::{LayerMode, Mode, Source, Stats, Workspace};
use atelier_config::Home;

/// The ignore file of projects: what is not copied into environments.
pub const IGNORE_FILE: &str = ".atelierignore";

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
    source: &Source,
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
    let result = maker.make(source);
    if result.is_err() {
        let _ = remove_tree(&new);
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
        Ok(()) => remove_tree(&old),
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

/// The read-only part of a workspace.
struct Lower {
    generation: Generation,
    scan: Arc<Scan>,
    /// The paths that the delta layer holds, when there is one.
    delta: Option<Vec<Vec<u8>>>,
    skipped: Vec<Skipped>,
    stats: Stats,
}

impl Maker<'_> {
    fn make(&self, source: &Source) -> Result<Workspace> {
        // Held until the folder has its name: a cleaning process leaves it alone.
        let _lock = locked(self.new, FlockOperation::LockExclusive)?;
        let bases = Bases::open(self.home, self.project)?;
        let lower = match source {
            Source::WorkingTree => self.snapshot(&bases)?,
            Source::Ref(name) => self.checkout(&bases, name)?,
        };
        let made = |name: &str| self.new.join(name);
        let mut layers = vec![lower.generation.tree()];
        if lower.delta.is_some() {
            layers.insert(0, made("delta"));
        }
        let mode = self.writable(&lower, &layers)?;
        // From here on everything is named as it will be.
        let lowers: Vec<_> = layers.iter().map(|l| self.renamed(l)).collect();
        let base_id = format!("{}/{}", self.project.id(), lower.generation.name);
        let head = crate::git::head::of_layers(&layers, self.project);
        let Lower { generation, skipped, stats, .. } = lower;
        let target = self.project.root.clone();
        let workspace = Workspace { target, lowers, mode, base_id, head, skipped, stats };
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

    /// The project as it is now: the newest base, and a layer with what changed since.
    fn snapshot(&self, bases: &Bases) -> Result<Lower> {
        let scan = SharedScans::scan(&self.project.root, &self.scan_options())?;
        let stats = Stats { paths: scan.entries.len(), ..Stats::default() };
        if let Some(lower) = self.on_newest(bases, &scan, stats)? {
            return Ok(lower);
        }
        let _lock = bases.lock()?;
        // Another process may have made the base that we need while we waited.
        if let Some(lower) = self.on_newest(bases, &scan, stats)? {
            return Ok(lower);
        }
        let previous = bases.newest()?;
        // A damaged one is no use; the new one is then copied from scratch.
        let previous = previous.and_then(|g| g.manifest().ok().map(|m| (g.tree(), m, g)));
        let number = bases.numbers()?.first().map_or(1, |n| n + 1);
        let (generation, outcome) = bases.build(&format!("{number:08}"), |dir| {
            let previous = previous.as_ref().map(|(tree, manifest, _)| (tree.as_path(), manifest));
            make_base(&self.project.root, dir, &scan, previous)
        })?;
        let stats = Stats { copied: outcome.bytes, new_base: true, ..stats };
        let skipped = scan.skipped.iter().cloned().chain(outcome.skipped).collect();
        Ok(Lower { generation, scan, delta: None, skipped, stats })
    }

    /// On the newest base, when there is one that little differs from.
    fn on_newest(&self, bases: &Bases, scan: &Arc<Scan>, stats: Stats) -> Result<Option<Lower>> {
        let Some(generation) = bases.newest()? else { return Ok(None) };
        let Ok(manifest) = generation.manifest() else { return Ok(None) };
        let delta = compare(&manifest, scan);
        if !delta.is_small(scan.entries.len()) {
            return Ok(None);
        }
        let mut lower = Lower {
            generation,
            scan: scan.clone(),
            delta: None,
            skipped: scan.skipped.clone(),
            stats: Stats { changed: delta.changed, ..stats },
        };
        if delta.is_empty() {
            return Ok(Some(lower));
        }
        match self.layer(&manifest, &delta, &mut lower) {
            // Where whiteouts may not be made (kernels before 5.8, some containers), a new base
            // does without.
            Err(Error::Io { doing: "hide", .. }) => Ok(None),
            result => result.map(|()| Some(lower)),
        }
    }

    fn layer(&self, manifest: &Manifest, delta: &Delta<'_>, lower: &mut Lower) -> Result<()> {
        let target = self.new.join("delta");
        let _ = remove_tree(&target);
        make_dir(&target)?;
        let root = &self.project.root;
        let outcome = make_layer(root, &target, manifest, &lower.scan, delta)?;
        lower.stats.copied = outcome.bytes;
        lower.skipped.extend(outcome.skipped);
        lower.delta = Some(delta.copies.iter().map(|e| e.path.clone()).collect());
        Ok(())
    }

    /// A clean checkout of a commit, made once for each commit.
    fn checkout(&self, bases: &Bases, name: &str) -> Result<Lower> {
        let (generation, new_base) = checkout::generation(self.project, bases, name)?;
        let scan = scan(&generation.tree(), &ScanOptions::default())?;
        let stats = Stats { paths: scan.entries.len(), new_base, ..Stats::default() };
        let skipped = scan.skipped.clone();
        Ok(Lower { generation, scan: scan.into(), delta: None, skipped, stats })
    }

    fn scan_options(&self) -> ScanOptions {
        let home = rustix::fs::stat(self.home.root()).map(|s| (s.st_dev, s.st_ino));
        ScanOptions { exclude: home.into_iter().collect(), ignore_file: Some(IGNORE_FILE) }
    }

    fn writable(&self, lower: &Lower, layers: &[PathBuf]) -> Result<Mode> {
        if self.mode == LayerMode::Overlay {
            let (upper, work) = (self.new.join("upper"), self.new.join("work"));
            make_dir(&upper)?;
            make_dir(&work)?;
            // The merged root shows the metadata of the top layer.
            let from = open_root(&layers[0]).map_err(|e| Error::io("open", &layers[0], e))?;
            let fd = open_root(&upper).map_err(|e| Error::io("open", &upper, e))?;
            Copier::new()
                .metadata(Some(from.as_fd()), fd.as_fd(), &lower.scan.root)
                .map_err(|e| Error::io("set the metadata of", &upper, e))?;
            return Ok(Mode::Overlay { upper: self.renamed(&upper), work: self.renamed(&work) });
        }
        let tree = self.new.join("tree");
        make_dir(&tree)?;
        self.full_copy(lower, layers, &tree)?;
        Ok(Mode::Copy { tree: self.renamed(&tree), sealed: now() })
    }

    fn full_copy(&self, lower: &Lower, layers: &[PathBuf], tree: &Path) -> Result<()> {
        let open = |path: &PathBuf| open_root(path).map_err(|e| Error::io("open", path, e));
        // The base is the last layer; the delta, when there is one, comes before it.
        let sources = layers.iter().map(open).collect::<Result<Vec<_>>>()?;
        let borrowed: Vec<_> = sources.iter().map(AsFd::as_fd).collect();
        let fd = open(&tree.to_owned())?;
        let in_delta: std::collections::HashSet<&[u8]> =
            lower.delta.iter().flatten().map(Vec::as_slice).collect();
        let base = sources.len() - 1;
        let source_of = |e: &Entry| if in_delta.contains(e.path.as_slice()) { 0 } else { base };
        let item = |entry| Item { entry, source: source_of(entry), link: false };
        copy(&Job {
            sources: &borrowed,
            target: fd.as_fd(),
            target_path: tree,
            root: &lower.scan.root,
            items: lower.scan.entries.iter().map(item).collect(),
            whiteouts: Vec::new(),
            hide: &|_| false,
            frozen: true,
        })?;

        Ok(())
    }
}
