//! Changing the resolver, and taking it back. Each change is written down before it is made, so
//! that whatever ends this program, [`remove`] knows what to look at.

use std::path::{Path, PathBuf};

use super::files::{self, below};
use super::journal::{Journal, Now, Phase, lock};
use super::plan::{Plan, plan};
use super::{Change, System, fault};
use crate::error::{Error, Result};

/// What [`apply`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// This was changed.
    Changed(Plan),
    /// Everything was in place.
    InPlace(Plan),
}

/// What [`remove`] has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// Files that are as they were before, or gone as they were.
    pub restored: Vec<PathBuf>,
    /// Files that somebody else has changed since: they are as that one left them.
    pub kept: Vec<Kept>,
    /// Commands that failed, with their own words. The files are restored all the same.
    pub failed: Vec<String>,
}

/// A file that was not touched, because somebody else has changed it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// Where its content from before the hook is now, when it had any.
    pub saved: Option<PathBuf>,
}

/// Hooks the resolver as [`plan`] says; an earlier hook is taken back first. Needs root. When it
/// fails, what was changed is taken back.
///
/// # Errors
/// [`Error::NeedsRoot`] with the command to run, those of [`plan`], and of files and commands.
pub fn apply(system: &System) -> Result<Applied> {
    needs_root(system, &system.setup_command)?;
    let _lock = lock(system)?;
    let mut planned = plan(system)?;
    if planned.in_place {
        return Ok(Applied::InPlace(planned));
    }
    if let Some(earlier) = Journal::read(system)? {
        take_back(system, earlier)?;
        planned = plan(system)?;
    }
    match carry_out(system, &planned) {
        Ok(()) => Ok(Applied::Changed(planned)),
        Err(error) => {
            if let Some(journal) = Journal::read(system)?
                && let Err(second) = take_back(system, journal)
            {
                tracing::warn!(error = %second, "the resolver's hook could not be taken back");
            }
            Err(error)
        }
    }
}

/// Takes the hook back: every file as it was, unless somebody else has changed it since. Needs
/// root. Without a hook nothing is done. May be repeated after an interruption.
///
/// # Errors
/// [`Error::NeedsRoot`] with the command to run; [`Error::Damaged`]; those of files.
pub fn remove(system: &System) -> Result<Removed> {
    needs_root(system, &system.remove_command)?;
    let _lock = lock(system)?;
    match Journal::read(system)? {
        Some(journal) => take_back(system, journal),
        None => Journal::delete(system).map(|()| Removed::default()),
    }
}

fn needs_root(system: &System, command: &str) -> Result<()> {
    // A tree elsewhere belongs to whom it belongs; the files say so themselves.
    if system.root == Path::new("/") && !rustix::process::geteuid().is_root() {
        return Err(Error::NeedsRoot { command: command.to_owned() });
    }
    Ok(())
}

fn carry_out(system: &System, plan: &Plan) -> Result<()> {
    Journal::new(Phase::SettingUp, plan.clone()).write(system)?;
    for folder in &plan.folders {
        files::make_folder(&below(&system.root, folder))?;
    }
    for change in &plan.files {
        let path = below(&system.root, &change.path);
        if files::read(&path)? != change.before {
            return Err(Error::Changed { files: vec![change.path.clone()] });
        }
        files::replace(&path, &change.after.0, change.before.as_ref())?;
    }
    for command in &plan.commands {
        fault::moment()?;
        run(system, command)?;
    }
    Journal::new(Phase::SetUp, plan.clone()).write(system)
}

fn take_back(system: &System, mut journal: Journal) -> Result<Removed> {
    let mut removed = Removed::default();
    // What is foreign is decided while the journal still says whether we were in the middle.
    let mut found = Vec::new();
    for change in &journal.plan.files {
        found.push(journal.now(system, change)?);
    }
    if journal.phase == Phase::SetUp {
        journal.phase = Phase::Removing;
        journal.write(system)?;
    }
    for (change, now) in journal.plan.files.iter().zip(found).rev() {
        files::delete_beside(&below(&system.root, &change.path))?;
        match now {
            Now::Ours => restore(system, change)?,
            Now::Before => {}
            Now::Foreign => {
                removed.kept.push(Kept { path: change.path.clone(), saved: save(system, change)? });
                continue;
            }
        }
        removed.restored.push(change.path.clone());
    }
    for folder in journal.plan.folders.iter().rev() {
        files::delete_folder(&below(&system.root, folder))?;
    }
    for command in &journal.plan.commands {
        fault::moment()?;
        if let Err(error) = run(system, command) {
            removed.failed.push(error.to_string());
        }
    }
    Journal::delete(system)?;
    Ok(removed)
}

fn restore(system: &System, change: &Change) -> Result<()> {
    let path = below(&system.root, &change.path);
    match &change.before {
        Some(before) => files::replace(&path, &before.content.0, Some(before)),
        None => files::delete(&path),
    }
}

/// Keeps what a file held before the hook, when it can't be put back.
fn save(system: &System, change: &Change) -> Result<Option<PathBuf>> {
    let Some(before) = &change.before else { return Ok(None) };
    let name = change.path.file_name().unwrap_or_default().to_string_lossy();
    let path = change.path.with_file_name(format!("{name}.before-atelier"));
    files::replace(&below(&system.root, &path), &before.content.0, Some(before))?;
    Ok(Some(path))
}

fn run(system: &System, command: &[String]) -> Result<()> {
    let failed = |why: String| Error::Command { command: command.join(" "), why };
    let output = system.runner.run(command).map_err(|error| failed(error.to_string()))?;
    if output.success {
        return Ok(());
    }
    let words = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    Err(failed(words.trim().to_owned()))
}
