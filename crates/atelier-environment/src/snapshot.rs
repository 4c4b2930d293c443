//! A source's files at one moment, as read-only layers: the newest base with a layer of what changed
//! since, a checkout of a commit, or nothing; and on top what is rendered.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_config::Home;

use crate::base::checkout;
use crate::base::delta::{Delta, compare, make_base, make_layer};
use crate::base::manifest::Manifest;
use crate::base::store::{Bases, Generation, make_dir};
use crate::create::IGNORE_FILE;
use crate::error::{Error, Result};
use crate::files::copy::{Item, Job, copy};
use crate::files::entry::{Entry, is_below};
use crate::files::scan::{Scan, ScanOptions, Skipped, scan};
use crate::policy::Policy;
use crate::project::{GitInfo, Project};
use crate::recipe::{Recipe, Source};
use crate::render::rendered;
use crate::shared_scan::SharedScans;
use crate::workspace::Stats;
use atelier_files::below::open_root;
use atelier_files::remove;

/// The name of the layer with what changed since the base.
const DELTA: &str = "delta";
/// The name of the layer with what was rendered.
pub(crate) const RENDERED: &str = "rendered";

/// Takes a source's files.
pub(crate) struct Taker<'a> {
    pub project: &'a Project,
    pub home: &'a Home,
    pub recipe: &'a Recipe,
    /// A new folder, for layers of this snapshot alone.
    pub new: &'a Path,
}

/// The read-only part of a workspace.
pub(crate) struct Lower {
    pub generation: Generation,
    pub scan: Arc<Scan>,
    /// The paths that the delta layer holds, when there is one.
    delta: Option<Vec<Vec<u8>>>,
    /// What the layer of rendered files holds.
    pub rendered: Vec<(Vec<u8>, Vec<u8>)>,
    /// All of them, the top first.
    pub layers: Vec<PathBuf>,
    /// Which project's bases they stand on.
    pub bases: String,
    pub skipped: Vec<Skipped>,
    pub stats: Stats,
}

impl Lower {
    /// The frozen base, as `<project>/<generation>`.
    pub(crate) fn base_id(&self) -> String {
        format!("{}/{}", self.bases, self.generation.name)
    }

    /// Copies what is listed into a fresh folder.
    pub(crate) fn copy(&self, items: &[&Entry], target: &Path) -> Result<()> {
        let open = |path: &Path| open_root(path).map_err(|e| Error::io("open", path, e));
        // The base is the last layer; the delta, when there is one, comes before it.
        let below = &self.layers[self.layers.len() - 1 - usize::from(self.delta.is_some())..];
        let sources = below.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        let borrowed: Vec<_> = sources.iter().map(AsFd::as_fd).collect();
        let fd = open(target)?;
        let in_delta: HashSet<&[u8]> = self.delta.iter().flatten().map(Vec::as_slice).collect();
        let base = sources.len() - 1;
        let source_of = |e: &Entry| if in_delta.contains(e.path.as_slice()) { 0 } else { base };
        let item = |entry| Item { entry, source: source_of(entry), link: false };
        copy(&Job {
            sources: &borrowed,
            target: fd.as_fd(),
            target_path: target,
            root: &self.scan.root,
            items: items.iter().map(|entry| item(entry)).collect(),
            whiteouts: Vec::new(),
            hide: &|_| false,
            frozen: true,
        })?;
        Ok(())
    }
}

impl Taker<'_> {
    /// Takes them.
    pub(crate) fn take(&self) -> Result<Lower> {
        let mut lower = match &self.recipe.source {
            Source::WorkingTree => self.snapshot(self.project)?,
            Source::Folder(folder) => self.snapshot(&checkout_of(self.project, folder))?,
            Source::Ref(name) => {
                let bases = Bases::open(self.home, self.project)?;
                let made = checkout::generation(self.project, &bases, name)?;
                self.whole(made)?
            }
            Source::Empty => {
                let bases = Bases::open(self.home, self.project)?;
                let made = checkout::empty(&bases)?;
                self.whole(made)?
            }
        };
        lower.layers = vec![lower.generation.tree()];
        if lower.delta.is_some() {
            lower.layers.insert(0, self.new.join(DELTA));
        }
        self.render(&mut lower)?;
        Ok(lower)
    }

    /// A generation that is not compared with the project.
    fn whole(&self, (generation, new_base): (Generation, bool)) -> Result<Lower> {
        let scan = scan(&generation.tree(), &ScanOptions::default())?;
        let stats = Stats { paths: scan.entries.len(), new_base, ..Stats::default() };
        let skipped = scan.skipped.clone();
        Ok(Lower {
            generation,
            scan: scan.into(),
            delta: None,
            rendered: Vec::new(),
            layers: Vec::new(),
            bases: self.project.id(),
            skipped,
            stats,
        })
    }

    /// A layer with the files that the recipe renders.
    fn render(&self, lower: &mut Lower) -> Result<()> {
        let (files, notes) = rendered(&lower.layers, &lower.scan, self.recipe)?;
        lower.skipped.extend(notes);
        if files.is_empty() {
            return Ok(());
        }
        let target = self.new.join(RENDERED);
        make_dir(&target)?;
        let needed =
            |e: &&Entry| files.iter().any(|(path, _)| *path == e.path || is_below(path, &e.path));
        let items: Vec<&Entry> = lower.scan.entries.iter().filter(needed).collect();
        lower.copy(&items, &target)?;
        write_all(&target, &files)?;
        lower.layers.insert(0, target);
        lower.rendered = files;
        Ok(())
    }

    /// The project as it is now: the newest base, and a layer with what changed since.
    fn snapshot(&self, project: &Project) -> Result<Lower> {
        let bases = &Bases::open(self.home, project)?;
        let scan = SharedScans::scan(&project.root, &self.scan_options(project)?)?;
        let stats = Stats { paths: scan.entries.len(), ..Stats::default() };
        if let Some(lower) = self.on_newest(project, bases, &scan, stats)? {
            return Ok(lower);
        }
        let _lock = bases.lock()?;
        // Another process may have made the base that we need while we waited.
        if let Some(lower) = self.on_newest(project, bases, &scan, stats)? {
            return Ok(lower);
        }
        let previous = bases.newest()?;
        // A damaged one is no use; the new one is then copied from scratch.
        let previous = previous.and_then(|g| g.manifest().ok().map(|m| (g.tree(), m, g)));
        let number = bases.numbers()?.first().map_or(1, |n| n + 1);
        let (generation, outcome) = bases.build(&format!("{number:08}"), |dir| {
            let previous = previous.as_ref().map(|(tree, manifest, _)| (tree.as_path(), manifest));
            make_base(&project.root, dir, &scan, previous)
        })?;
        let stats = Stats { copied: outcome.bytes, new_base: true, ..stats };
        let skipped = scan.skipped.iter().cloned().chain(outcome.skipped).collect();
        Ok(Lower {
            generation,
            scan,
            delta: None,
            rendered: Vec::new(),
            layers: Vec::new(),
            bases: project.id(),
            skipped,
            stats,
        })
    }

    /// On the newest base, when there is one that little differs from.
    fn on_newest(
        &self,
        project: &Project,
        bases: &Bases,
        scan: &Arc<Scan>,
        stats: Stats,
    ) -> Result<Option<Lower>> {
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
            rendered: Vec::new(),
            layers: Vec::new(),
            bases: project.id(),
            skipped: scan.skipped.clone(),
            stats: Stats { changed: delta.changed, ..stats },
        };
        if delta.is_empty() {
            return Ok(Some(lower));
        }
        match self.layer(project, &manifest, &delta, &mut lower) {
            // Where whiteouts may not be made (kernels before 5.8, some containers), a new base
            // does without.
            Err(Error::Io { doing: "hide", .. }) => Ok(None),
            result => result.map(|()| Some(lower)),
        }
    }

    fn layer(
        &self,
        project: &Project,
        manifest: &Manifest,
        delta: &Delta<'_>,
        lower: &mut Lower,
    ) -> Result<()> {
        let target = self.new.join(DELTA);
        let _ = remove(&target);
        make_dir(&target)?;
        let outcome = make_layer(&project.root, &target, manifest, &lower.scan, delta)?;
        lower.stats.copied = outcome.bytes;
        lower.skipped.extend(outcome.skipped);
        lower.delta = Some(delta.copies.iter().map(|e| e.path.clone()).collect());
        Ok(())
    }

    fn scan_options(&self, project: &Project) -> Result<ScanOptions> {
        let home = rustix::fs::stat(self.home.root()).map(|s| (s.st_dev, s.st_ino));
        Ok(ScanOptions {
            exclude: home.into_iter().collect(),
            ignore_file: Some(IGNORE_FILE),
            policy: Policy::of(self.recipe, project)?,
        })
    }
}

/// Another checkout, under the name of the project.
fn checkout_of(project: &Project, folder: &Path) -> Project {
    let git = GitInfo::of(folder);
    Project { root: folder.to_owned(), name: project.name.clone(), git }
}

/// Gives copied files their rendered contents.
pub(crate) fn write_all(folder: &Path, files: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    for (path, contents) in files {
        let at = folder.join(crate::quote::as_path(path));
        std::fs::write(&at, contents).map_err(|e| Error::io("write", &at, e))?;
    }
    Ok(())
}
