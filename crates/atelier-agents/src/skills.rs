//! Skills: a folder each with a SKILL.md that every agent understands, beside the user's own.
//!
//! All nine read the same format from a folder of their own, so there is one way to write them. A marker
//! in the folder says that it is ours, and what it held, should the ledger get lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::agent::{Agent, Scope};
use crate::error::{AgentError, Result};
use crate::file::{make_folders, sync_folder};
use crate::frontmatter;
use crate::ledger::{Kind, Record, State};
use crate::tree::{Leaf, Tree};
use crate::wiring::{Change, Outcome, Wiring};

/// The file that makes a folder ours.
const MARKER: &str = ".atelier";
const SKILL: &str = "SKILL.md";

/// A skill, ready to be written for any agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    name: String,
    tree: Tree,
}

impl Skill {
    /// A skill that is one text. Frontmatter that it lacks is made from name and description.
    ///
    /// # Errors
    /// [`AgentError::Skill`]: a name that agents don't take, or a frontmatter that is broken.
    pub fn from_text(name: &str, description: &str, text: &str) -> Result<Self> {
        check_name(name)?;
        let bytes = frontmatter::complete(text, name, description)?.into_bytes();
        let leaf = Leaf { bytes, executable: false };
        Ok(Self { name: name.into(), tree: Tree([(PathBuf::from(SKILL), leaf)].into()) })
    }

    /// A skill that is a folder with a SKILL.md and what belongs to it, at most 1000 files and 16 MiB.
    ///
    /// # Errors
    /// Like [`Self::from_text`]; [`AgentError::Unfit`] for a folder that is too large, or that has links
    /// which lead out of it.
    pub fn from_folder(name: &str, description: &str, folder: &Path) -> Result<Self> {
        check_name(name)?;
        let mut tree = Tree::read(folder)?;
        tree.0.remove(Path::new(MARKER));
        let bad = |why: &str| AgentError::Skill { name: name.to_owned(), why: why.to_owned() };
        let leaf = tree.0.get_mut(Path::new(SKILL)).ok_or_else(|| bad("it has no SKILL.md"))?;
        let text =
            std::str::from_utf8(&leaf.bytes).map_err(|_| bad("its SKILL.md is not UTF-8"))?;
        leaf.bytes = frontmatter::complete(text, name, description)?.into_bytes();
        Ok(Self { name: name.into(), tree })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Wiring {
    /// Writes a skill to where an agent finds it. Doing it twice is the same as once.
    ///
    /// # Errors
    /// [`AgentError::Foreign`], [`AgentError::Changed`] without `force`; a folder that fails.
    pub fn plug_skill(
        &mut self,
        agent: Agent,
        scope: Scope,
        skill: &Skill,
        force: bool,
    ) -> Result<Change> {
        let folder = agent.skills(&self.places, scope)?.join(&skill.name);
        let hash = skill.tree.hash();
        let outcome = match self.judge_skill(agent, &skill.name, &folder, force)? {
            None => Outcome::Added,
            Some(now) if now == hash => Outcome::Unchanged,
            Some(_) => Outcome::Updated,
        };
        let record = self.record(agent, scope, Kind::Skill, &skill.name, &folder, &hash);
        if outcome != Outcome::Unchanged {
            self.intend(&record)?;
            let put =
                self.keep_foreign(&folder, &hash).and_then(|()| put(&folder, &skill.tree, &hash));
            if put.is_err() {
                // What was intended did not happen. Should that fail too, the next run does it.
                let _ = self.mend();
            }
            put?;
        }
        self.settle(record)?;
        Ok(Change { outcome, path: folder })
    }

    /// Takes a skill away. It is no error when it is not there.
    ///
    /// # Errors
    /// [`AgentError::Foreign`], [`AgentError::Changed`] without `force`; a folder that fails.
    pub fn unplug_skill(
        &mut self,
        agent: Agent,
        scope: Scope,
        name: &str,
        force: bool,
    ) -> Result<Change> {
        check_name(name)?;
        let folder = agent.skills(&self.places, scope)?.join(name);
        self.remove_skill(agent, name, &folder, force)
    }

    pub(crate) fn remove_skill(
        &mut self,
        agent: Agent,
        name: &str,
        folder: &Path,
        force: bool,
    ) -> Result<Change> {
        let record = self.ledger.find(Kind::Skill, agent.name(), folder, name).cloned();
        let shared = record.as_ref().is_some_and(|record| self.ledger.is_shared(record));
        let mut outcome = Outcome::Unchanged;
        if !shared && self.judge_skill(agent, name, folder, force)?.is_some() {
            if let Some(record) = &record {
                self.ledger.put(Record { state: State::Removing, ..record.clone() })?;
            }
            self.keep_foreign(folder, "")?;
            remove(folder)?;
            outcome = Outcome::Removed;
        }
        if let Some(record) = record {
            self.ledger.drop_record(&record)?;
        }
        Ok(Change { outcome, path: folder.to_owned() })
    }

    /// The hash of what is there; an error when it must not be touched.
    fn judge_skill(
        &self,
        agent: Agent,
        name: &str,
        folder: &Path,
        force: bool,
    ) -> Result<Option<String>> {
        let Some(now) = hash_of(folder)? else { return Ok(None) };
        let own = self.ledger.find(Kind::Skill, agent.name(), folder, name);
        let any = |r: &&Record| r.kind == Kind::Skill && r.path == folder;
        let record = own.or_else(|| self.ledger.records.iter().find(any));
        if marked(folder).is_some_and(|hash| hash == now) {
            return Ok(Some(now));
        }
        self.allow(agent, Kind::Skill, name, folder, record, &now, force)?;
        Ok(Some(now))
    }

    /// Copies what is not ours to the backups, before it is gone over.
    fn keep_foreign(&self, folder: &Path, hash: &str) -> Result<()> {
        let Some(now) = hash_of(folder)? else { return Ok(()) };
        if now == hash || marked(folder).is_some_and(|marked| marked == now) {
            return Ok(());
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let at = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.9fZ");
        make_folders(&self.backups, 0o700)?;
        Tree::read(folder)?.write(&self.backups.join(format!("skill-{name}-{at}")))
    }
}

/// The hash of a skill's folder without the marker; none where there is none.
pub(crate) fn hash_of(folder: &Path) -> Result<Option<String>> {
    match fs::symlink_metadata(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(AgentError::file("read", folder, e)),
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let why = "is no folder: remove it yourself if a skill is to be there";
            return Err(AgentError::Unfit { path: folder.to_owned(), why });
        }
    }
    let mut tree = Tree::read(folder)?;
    tree.0.remove(Path::new(MARKER));
    Ok(Some(tree.hash()))
}

/// What the marker says that the folder held.
fn marked(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(MARKER)).ok()?;
    text.lines().find_map(|line| line.strip_prefix("sha256 ")).map(str::to_owned)
}

/// The names of what a change has beside the folder for a moment. Agents pass dot folders over.
fn beside(folder: &Path, what: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.atelier-{what}"))
}

/// Puts a tree in the place of a folder, at once.
fn put(folder: &Path, tree: &Tree, hash: &str) -> Result<()> {
    let failed = |e| AgentError::file("written", folder, e);
    clear_leftovers(folder);
    let parent = folder.parent().unwrap_or(Path::new("/"));
    make_folders(parent, 0o777)?;
    let mut tree = tree.clone();
    let text =
        format!("Written by Atelier, and removed by it: atelier tool unplug\nsha256 {hash}\n");
    tree.0.insert(MARKER.into(), Leaf { bytes: text.into_bytes(), executable: false });
    let fresh = beside(folder, "new");
    tree.write(&fresh)?;
    if folder.exists() {
        match renameat_with(CWD, &fresh, CWD, folder, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // A file system that cannot exchange: there is a moment without.
            Err(_) => {
                fs::rename(folder, beside(folder, "old")).map_err(failed)?;
                fs::rename(&fresh, folder).map_err(failed)?;
            }
        }
    } else {
        fs::rename(&fresh, folder).map_err(failed)?;
    }
    sync_folder(parent);
    clear_leftovers(folder);
    Ok(())
}

/// Takes a folder away, at once.
fn remove(folder: &Path) -> Result<()> {
    clear_leftovers(folder);
    let old = beside(folder, "old");
    fs::rename(folder, &old).map_err(|e| AgentError::file("removed", folder, e))?;
    sync_folder(folder.parent().unwrap_or(Path::new("/")));
    clear_leftovers(folder);
    Ok(())
}

/// Removes what a killed run left beside a folder.
pub(crate) fn clear_leftovers(folder: &Path) {
    for what in ["new", "old"] {
        let _ = fs::remove_dir_all(beside(folder, what));
    }
}

/// A name as agentskills.io has it: 1 to 64 of `a-z`, `0-9` and single hyphens inside.
fn check_name(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    if fits && !name.starts_with('-') && !name.ends_with('-') && !name.contains("--") {
        return Ok(());
    }
    let why = "a skill's name has 1 to 64 of a-z, 0-9 and single hyphens".into();
    Err(AgentError::Skill { name: name.to_owned(), why })
}
