//! One change of the home: files that come, files that go, and the commit that says so. All of it, or nothing.
//!
//! New files are assembled in `.local/staging/ID/new`. Placing moves them in and what was there before to
//! `.local/staging/ID/old`, each by a rename, so taking back is the same moves the other way. Whatever else lies in
//! the folders (a plugin's databases, the user's own files) is never moved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use super::journal::{self, Phase};
use super::writer::Writer;
use crate::context::Context;
use crate::git::Git;
use crate::{Home, Result, Slug};

/// A change, as the journal has it. Paths are relative to the home.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub id: String,
    pub message: String,
    pub slug: Option<Slug>,
    pub phase: Phase,
    /// Files that are written, and whether there was one before.
    pub puts: Vec<(String, bool)>,
    /// Files and trees that go.
    pub takes: Vec<String>,
    /// What was done can't be taken back (`uninstall` ran): it is finished instead.
    pub forward: bool,
    /// `install` was started: taking back runs `uninstall`.
    pub installed: bool,
    /// The service ran before: taking back starts it again.
    pub running: bool,
    /// There was an older version: taking back installs it again instead of uninstalling.
    #[serde(default)]
    pub upgrade: bool,
}

/// A change that is being made. Dropped without [`Change::commit`], it is taken back by the next writer.
#[derive(Debug)]
pub(crate) struct Change<'w> {
    pub writer: &'w Writer,
    pub record: Record,
}

impl<'w> Change<'w> {
    /// Begins one: from here on the journal knows of it.
    pub fn begin(writer: &'w Writer, slug: Option<&Slug>, message: String) -> Result<Self> {
        let now = jiff::Timestamp::now().as_nanosecond();
        let record = Record {
            id: format!("{now}-{}", std::process::id()),
            message,
            slug: slug.cloned(),
            phase: Phase::Preparing,
            puts: Vec::new(),
            takes: Vec::new(),
            forward: false,
            installed: false,
            running: false,
            upgrade: false,
        };
        journal::write(&writer.home, &record)?;
        let change = Self { writer, record };
        files::folder(&change.new_files())?;
        Ok(change)
    }

    /// The folder of this change.
    pub fn folder(&self) -> PathBuf {
        self.writer.home.staging().join(&self.record.id)
    }

    /// Where new files are assembled, laid out as the home is.
    pub fn new_files(&self) -> PathBuf {
        self.folder().join("new")
    }

    /// A new file, written here.
    pub fn put(&mut self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        files::write_new(&self.new_files().join(path), bytes, mode)?;
        self.put_staged(path);
        Ok(())
    }

    /// A new file that lies in [`Self::new_files`] already.
    pub fn put_staged(&mut self, path: &str) {
        if !self.record.puts.iter().any(|(p, _)| p == path) {
            self.record.puts.push((path.to_owned(), false));
        }
    }

    /// A file or tree that goes; fine when there is none.
    pub fn take(&mut self, path: &str) {
        if !self.record.takes.iter().any(|p| p == path) {
            self.record.takes.push(path.to_owned());
        }
    }

    /// The manifest and the lock as they will be.
    pub fn put_home(&mut self, manifest: &super::Manifest, lock: &super::Lock) -> Result<()> {
        if manifest.text() != self.writer.manifest.text() {
            self.put("tools.yaml", manifest.text().as_bytes(), 0o600)?;
        }
        if lock.bytes() != self.writer.lock.bytes() || !self.writer.home.lock_file().exists() {
            self.put("tools.lock.json", &lock.bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Writes the next phase down.
    pub fn phase(&mut self, phase: Phase, context: &Context<'_>) -> Result<()> {
        self.record.phase = phase;
        journal::write(&self.writer.home, &self.record)?;
        match phase {
            Phase::Preparing => {}
            Phase::Placing => context.tell("placing", &self.record.message),
            Phase::Hooks => context.tell("hooks", &self.record.message),
            Phase::Committing => context.tell("committing", &self.record.message),
        }
        Ok(())
    }

    /// Moves everything into place.
    pub fn place(&mut self, context: &Context<'_>) -> Result<()> {
        let home = &self.writer.home;
        for (path, existed) in &mut self.record.puts {
            *existed = files::exists(&home.root().join(path));
        }
        self.phase(Phase::Placing, context)?;
        place(home, &self.record, context)
    }

    /// Takes everything back.
    fn undo(self, context: &Context<'_>) -> Result<()> {
        context.tell("undoing", &self.record.message);
        // What was begun and can't be taken back waits for the next writer, who finishes it.
        match self.record.forward && self.record.phase >= Phase::Placing {
            true => Ok(()),
            false => undo(&self.writer.home, &self.record, context),
        }
    }

    /// Commits what was placed, and forgets the journal.
    pub fn commit(mut self, context: &Context<'_>) -> Result<Option<String>> {
        if let Err(error) = self.phase(Phase::Committing, context) {
            self.record.phase = Phase::Placing;
            self.undo(context)?;
            return Err(error);
        }
        let writer = self.writer;
        let committed = commit(writer, &self.record);
        match committed {
            Err(error) if !self.record.forward => {
                self.undo(context)?;
                Err(error)
            }
            Err(error) => Err(error),
            Ok(commit) => {
                context.tell("cleaning", &self.record.message);
                sweep(&writer.home, &self.record)?;
                journal::forget(&writer.home, &self.record.id)?;
                if commit.is_some() && writer.manifest.wanted().settings.push {
                    context.tell("pushing", &self.record.message);
                    if let Err(error) = writer.git.push() {
                        context.tell("warning", &format!("not pushed: {error}"));
                    }
                }
                Ok(commit)
            }
        }
    }

    /// Prepares, places and runs what `steps` does with it, then commits; after any failure all is as before.
    pub fn run<T>(
        mut self,
        context: &Context<'_>,
        steps: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Option<String>)> {
        match steps(&mut self) {
            Ok(value) => Ok((value, self.commit(context)?)),
            Err(error) => {
                self.undo(context)?;
                Err(error)
            }
        }
    }
}

fn commit(writer: &Writer, record: &Record) -> Result<Option<String>> {
    match writer.manifest.wanted().settings.commit {
        true => writer.git.commit(&record.message, &paths(record)),
        false => Ok(None),
    }
}

/// What of a change belongs into a commit.
fn paths(record: &Record) -> Vec<String> {
    let all = record.puts.iter().map(|(path, _)| path).chain(&record.takes);
    all.filter(|path| !path.starts_with(".local/")).cloned().collect()
}

/// Does the moves that were not done yet.
fn place(home: &Home, record: &Record, context: &Context<'_>) -> Result<()> {
    let folder = home.staging().join(&record.id);
    let (new, old) = (folder.join("new"), folder.join("old"));
    for path in &record.takes {
        let (here, kept) = (home.root().join(path), old.join(path));
        if files::exists(&here) && !files::exists(&kept) {
            files::rename(&here, &kept)?;
        }
        prune(home, path);
        context.tell("placed", path);
    }
    for (path, existed) in &record.puts {
        let (here, fresh, kept) = (home.root().join(path), new.join(path), old.join(path));
        if !files::exists(&fresh) {
            continue;
        }
        if *existed && !files::exists(&kept) && files::exists(&here) {
            files::keep(&here, &kept)?;
        }
        files::rename(&fresh, &here)?;
        context.tell("placed", path);
    }
    Ok(())
}

/// Removes folders that nothing is in any more, up to the home.
fn prune(home: &Home, path: &str) {
    let parents = Path::new(path).ancestors().skip(1).filter(|p| p.components().count() > 1);
    for parent in parents {
        if std::fs::remove_dir(home.root().join(parent)).is_err() {
            return;
        }
    }
}

fn undo(home: &Home, record: &Record, context: &Context<'_>) -> Result<()> {
    let warn = |done: Result<()>| {
        if let Err(error) = done {
            context.tell("warning", &error.to_string());
        }
    };
    let slug = record.slug.as_ref();
    if let Some(slug) = slug.filter(|_| record.installed) {
        // With the new files still in place: they know what they did.
        match record.upgrade {
            true => warn(context.hooks.stop(slug)),
            false => warn(context.hooks.uninstall(slug)),
        }
    }
    if record.phase != Phase::Preparing {
        back(home, record)?;
    }
    sweep(home, record)?;
    if let Some(slug) = slug.filter(|_| record.installed && record.upgrade) {
        warn(context.hooks.install(slug));
    }
    if let Some(slug) = slug.filter(|_| record.running) {
        warn(context.hooks.start(slug));
    }
    journal::forget(home, &record.id)
}

/// Packages are installed beside the old ones; those that the lock does not name any more, or never will, go.
fn sweep(home: &Home, record: &Record) -> Result<()> {
    let Some(slug) = &record.slug else { return Ok(()) };
    let scripts = super::Lock::read(home)?.tools.get(slug).is_some_and(|t| t.scripts);
    crate::packages::sweep(home, slug, scripts)
}

/// The moves, the other way.
fn back(home: &Home, record: &Record) -> Result<()> {
    let folder = home.staging().join(&record.id);
    let (new, old) = (folder.join("new"), folder.join("old"));
    for (path, existed) in record.puts.iter().rev() {
        let (here, kept) = (home.root().join(path), old.join(path));
        if files::exists(&kept) {
            files::rename(&kept, &here)?;
        } else if !existed && !files::exists(&new.join(path)) {
            files::remove(&here)?;
            prune(home, path);
        }
    }
    for path in record.takes.iter().rev() {
        let kept = old.join(path);
        if files::exists(&kept) {
            files::rename(&kept, &home.root().join(path))?;
        }
    }
    Ok(())
}

/// What to do with a change whose process was killed.
pub(super) fn recover(
    home: &Home,
    git: &Git,
    context: &Context<'_>,
    record: &Record,
) -> Result<()> {
    let whole = record.phase == Phase::Committing;
    if !whole && !record.forward {
        return undo(home, record, context);
    }
    if !whole {
        place(home, record, context)?;
    }
    let commits = super::Manifest::read(home).map_or(true, |m| m.wanted().settings.commit);
    if commits {
        git.commit(&record.message, &paths(record))?;
    }
    sweep(home, record)?;
    journal::forget(home, &record.id)
}

/// Refuses a change of paths that the user has changed and not committed: they would be swept into our commit.
pub(crate) fn refuse_foreign(writer: &Writer, paths: &[&str]) -> Result<()> {
    if !writer.manifest.wanted().settings.commit {
        return Ok(());
    }
    let changed: BTreeSet<String> = writer.git.changed(paths)?.into_iter().collect();
    match changed.is_empty() {
        true => Ok(()),
        false => Err(crate::ToolsError::Dirty { paths: changed.into_iter().collect() }),
    }
}
