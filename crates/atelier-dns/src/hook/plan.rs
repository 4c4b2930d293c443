//! What would be changed, and to what, before anything is.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::files::{self, Content, Original};
use super::journal::{Journal, Now};
use super::ways::Draft;
use super::{System, Way, detect, ways};
use crate::error::{Error, Result};
use crate::name;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// Which, as the system itself sees it; where a link led to, not the link.
    pub path: PathBuf,
    /// What is there. `None`: nothing.
    pub before: Option<Original>,
    /// What will be.
    pub after: Content,
}

/// All that will be changed. Its `Display` is for people, one line or block for each thing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// The way into the resolver.
    pub way: Way,
    /// The server that the system will ask.
    pub server: SocketAddr,
    /// The suffixes that it will ask it for.
    pub domains: Vec<String>,
    /// Folders that will be made, the outermost first.
    pub folders: Vec<PathBuf>,
    /// Files that will be written.
    pub files: Vec<Change>,
    /// Commands that will be run after that, and again when the hook is removed.
    pub commands: Vec<Vec<String>>,
    /// To whom our server must forward all other questions ([`crate::Options::forward`]), because
    /// the system will ask nobody else any more. Empty: nothing need be forwarded.
    pub forward: Vec<SocketAddr>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Whether this is in place already, so that nothing will be changed.
    pub in_place: bool,
}

/// Says what [`super::apply`] would do. Changes nothing, and needs no root.
///
/// # Errors
/// [`Error::NoWay`] when there is no known resolver or it can't take our server;
/// [`Error::Changed`] when there is a hook and somebody else has changed its files.
pub fn plan(system: &System) -> Result<Plan> {
    let journal = Journal::read(system)?;
    if let Some(journal) = &journal {
        let files = journal.foreign(system)?;
        if !files.is_empty() {
            return Err(Error::Changed { files });
        }
    }
    let view = View::new(system, journal.as_ref())?;
    let mut plan = fresh(system, &view)?;
    plan.in_place = match &journal {
        Some(journal) => journal.plan == plan && journal.stands(system)?,
        None => false,
    };
    Ok(plan)
}

fn fresh(system: &System, view: &View) -> Result<Plan> {
    let mut domains = Vec::new();
    for domain in &system.domains {
        domains.push(name::suffix(domain)?);
    }
    domains.sort();
    domains.dedup();
    if domains.is_empty() {
        return Err(Error::Options("no suffix is given".to_owned()));
    }
    let way = match system.way {
        Some(way) => way,
        None => detect::way(system, view)?,
    };
    let draft = ways::draft(way, system, view, &domains)?;
    let (files, folders) = changes(view, &draft)?;
    Ok(Plan {
        way,
        server: system.server,
        domains,
        folders,
        files,
        commands: draft.commands,
        forward: draft.forward,
        notes: draft.notes,
        in_place: false,
    })
}

fn changes(view: &View, draft: &Draft) -> Result<(Vec<Change>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for (path, text) in &draft.files {
        let before = view.read(path)?;
        let after = Content(text.clone().into_bytes());
        let mut missing: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|folder| !view.has_folder(folder))
            .filter(|folder| !folders.iter().any(|known| known == folder))
            .collect();
        missing.reverse();
        folders.extend(missing.into_iter().map(Path::to_owned));
        if before.as_ref().map(|file| &file.content) != Some(&after) {
            files.push(Change { path: path.clone(), before, after });
        }
    }
    Ok((files, folders))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains: Vec<String> = self.domains.iter().map(|d| format!(".{d}")).collect();
        writeln!(f, "{} will ask {} for {}", self.way, self.server, domains.join(", "))?;
        if self.in_place {
            return writeln!(f, "everything is in place: nothing will be changed");
        }
        for folder in &self.folders {
            writeln!(f, "make the folder {}", folder.display())?;
        }
        for change in &self.files {
            let verb = if change.before.is_some() { "replace" } else { "write" };
            writeln!(f, "{verb} {}", change.path.display())?;
            if let Some(before) = &change.before {
                lines(f, '-', &before.content)?;
            }
            lines(f, '+', &change.after)?;
        }
        for command in &self.commands {
            writeln!(f, "run {}", command.join(" "))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

fn lines(f: &mut fmt::Formatter<'_>, mark: char, content: &Content) -> fmt::Result {
    content.text().lines().try_for_each(|line| writeln!(f, "  {mark} {line}"))
}

/// The system as it would be without our hook.
pub(super) struct View {
    pub(super) root: PathBuf,
    hidden: HashMap<PathBuf, Option<Original>>,
    hidden_folders: Vec<PathBuf>,
}

impl View {
    fn new(system: &System, journal: Option<&Journal>) -> Result<Self> {
        let mut hidden = HashMap::new();
        let mut hidden_folders = Vec::new();
        if let Some(journal) = journal {
            for change in &journal.plan.files {
                if journal.now(system, change)? == Now::Ours {
                    hidden.insert(change.path.clone(), change.before.clone());
                }
            }
            hidden_folders.clone_from(&journal.plan.folders);
        }
        Ok(Self { root: system.root.clone(), hidden, hidden_folders })
    }

    /// A file, not through links.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Original>> {
        match self.hidden.get(path) {
            Some(before) => Ok(before.clone()),
            None => files::read(&files::below(&self.root, path)),
        }
    }

    /// A file as text, or nothing.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        Some(self.read(path).ok()??.content.text())
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        files::below(&self.root, Path::new(path)).exists()
    }

    fn has_folder(&self, path: &Path) -> bool {
        files::below(&self.root, path).is_dir()
            && !self.hidden_folders.iter().any(|folder| folder == path)
    }
}
