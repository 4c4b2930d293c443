//! Servers into agents' files and out again, with the ledger kept. What a file looks like is
//! `document.rs`, how it is replaced `file.rs`; skills are `skills.rs`.
//!
//! # Why files, and not the agents' own commands
//! All nine are wired by editing their file; what is written equals what the agent's own `mcp add`
//! writes, which `tests/real.rs` proves on the five that have one. Their commands cannot do it: Claude
//! Code's fails when the entry exists, and removing first leaves a moment without; Auggie's fails too,
//! OpenCode's has no `remove`; Codex' and Gemini CLI's replace without asking whose entry it was; Gemini
//! CLI's drops a trailing newline; headers with secrets would stand in argument lists; each takes one to
//! three seconds where an edit takes milliseconds; none works when the agent is not installed (yet, or
//! any more); and the editors have none.
//!
//! Claude Code rewrites `~/.claude.json` while it runs. It takes a lock of its own for that, which is
//! taken here too (`guard.rs`), and the file is compared once more right before it is replaced.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::{Agent, Scope};
use crate::document::Document;
use crate::error::{AgentError, Result};
use crate::file::Snapshot;
use crate::guard::Guard;
use crate::ledger::{Kind, Ledger, Record, State};
use crate::places::Places;
use crate::server::{Server, check_name};

/// How often a file that changes under our hands is begun anew.
const TRIES: usize = 8;

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// What it did.
    pub outcome: Outcome,
    /// The file that it is about, or the skill's folder.
    pub path: PathBuf,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is new.
    Added,
    /// It was there and is another now.
    Updated,
    /// Everything was as it should be: nothing was written.
    Unchanged,
    /// It was taken away.
    Removed,
}

/// What stands in an agent's file under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Found {
    /// The name.
    pub name: String,
    /// What it says; none when it is no server of the kinds that we know.
    pub server: Option<Server>,
    /// Atelier wrote it, and nobody changed it since.
    pub ours: bool,
}

/// Wires servers and skills into agents.
#[derive(Debug)]
pub struct Wiring {
    pub(crate) places: Places,
    pub(crate) ledger: Ledger,
    pub(crate) backups: PathBuf,
}

/// A file of an agent, as it was when it was read.
pub(crate) struct Open {
    pub snapshot: Snapshot,
    pub document: Document,
}

impl Wiring {
    /// Opens the ledger, and mends what a killed run left. Other runs wait as long as the value lives.
    ///
    /// # Errors
    /// [`AgentError::Busy`] after ten seconds of another run, [`AgentError::Ledger`], or a file that fails.
    pub fn open(places: Places, ledger: &Path, backups: &Path) -> Result<Self> {
        let ledger = Ledger::open(ledger)?;
        let mut wiring = Self { places, ledger, backups: backups.to_owned() };
        wiring.mend()?;
        Ok(wiring)
    }

    /// Everything that was written.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.ledger.records
    }

    /// What stands in an agent's file under a name.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn read(&self, agent: Agent, scope: Scope, name: &str) -> Result<Option<Found>> {
        Ok(self.list(agent, scope)?.into_iter().find(|found| found.name == name))
    }

    /// Everything that stands in an agent's file, in its order.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn list(&self, agent: Agent, scope: Scope) -> Result<Vec<Found>> {
        let path = agent.file(&self.places, scope)?;
        let open = read(agent, &path)?;
        let found = |name: String| {
            let entry = open.document.entry(&name)?;
            let record = self.ledger.find(Kind::Server, agent.name(), &path, &name);
            let ours = record.is_some_and(|r| r.hash == agent.shape().hash(&entry));
            Some(Found { server: agent.shape().decode(&name, &entry), name, ours })
        };
        Ok(open.document.names().into_iter().filter_map(found).collect())
    }

    /// Wires a server. Doing it twice is the same as once. `force` goes over what is the user's own.
    ///
    /// # Errors
    /// [`AgentError::Foreign`], [`AgentError::Changed`] without `force`; what the agent cannot do;
    /// those of the file.
    pub fn plug(
        &mut self,
        agent: Agent,
        scope: Scope,
        server: &Server,
        force: bool,
    ) -> Result<Change> {
        server.check()?;
        let transport = server.transport.name();
        if !agent.shape().takes(&server.transport) {
            let name = server.name.clone();
            return Err(AgentError::Transport { agent: agent.title(), name, transport });
        }
        let path = agent.file(&self.places, scope)?;
        let _guard = guard(agent, scope, &path)?;
        for _ in 0..TRIES {
            let done = self.try_plug(agent, scope, server, &path, force);
            if done.is_err() {
                // What was intended did not happen. Should that fail too, the next run does it.
                let _ = self.mend();
            }
            if let Some(outcome) = done? {
                return Ok(Change { outcome, path });
            }
        }
        let _ = self.mend();
        Err(AgentError::Busy { path })
    }

    /// Does it, or nothing when the file changed meanwhile.
    fn try_plug(
        &mut self,
        agent: Agent,
        scope: Scope,
        server: &Server,
        path: &Path,
        force: bool,
    ) -> Result<Option<Outcome>> {
        let shape = agent.shape();
        let fields = shape.encode(server);
        let hash = shape.hash(&crate::shape::entry(&fields));
        let mut open = read(agent, path)?;
        let entry = open.document.entry(&server.name);
        let outcome = self.judge(agent, path, &server.name, entry.as_ref(), &hash, force)?;
        let mut record = self.record(agent, scope, Kind::Server, &server.name, path, &hash);
        record.made |= !open.snapshot.exists();
        if outcome != Outcome::Unchanged {
            self.intend(&record)?;
            open.document.put(&server.name, &fields, &shape.managed());
            let text = open.document.text();
            if !open.snapshot.replace(&text, fresh_mode(scope), &self.backups)? {
                return Ok(None);
            }
        }
        self.settle(record)?;
        Ok(Some(outcome))
    }

    /// Takes a server out. It is no error when it is not there.
    ///
    /// # Errors
    /// [`AgentError::Foreign`], [`AgentError::Changed`] without `force`; those of the file.
    pub fn unplug(
        &mut self,
        agent: Agent,
        scope: Scope,
        name: &str,
        force: bool,
    ) -> Result<Change> {
        check_name(name)?;
        let path = agent.file(&self.places, scope)?;
        self.take_out(agent, scope, name, &path, force)
    }

    /// Takes out what a record names, wherever agents look by now.
    ///
    /// # Errors
    /// Like [`Self::unplug`], and [`AgentError::Unknown`] for an agent that this Atelier does not know.
    pub fn withdraw(&mut self, record: &Record, force: bool) -> Result<Change> {
        let agent = Agent::find(&record.agent)?;
        match record.kind {
            Kind::Server => self.take_out(agent, record.scope, &record.name, &record.path, force),
            Kind::Skill => self.remove_skill(agent, &record.name, &record.path, force),
        }
    }

    fn take_out(
        &mut self,
        agent: Agent,
        scope: Scope,
        name: &str,
        path: &Path,
        force: bool,
    ) -> Result<Change> {
        let _guard = guard(agent, scope, path)?;
        for _ in 0..TRIES {
            let done = self.try_take_out(agent, scope, name, path, force);
            if done.is_err() {
                let _ = self.mend();
            }
            if let Some(outcome) = done? {
                return Ok(Change { outcome, path: path.to_owned() });
            }
        }
        let _ = self.mend();
        Err(AgentError::Busy { path: path.to_owned() })
    }

    fn try_take_out(
        &mut self,
        agent: Agent,
        scope: Scope,
        name: &str,
        path: &Path,
        force: bool,
    ) -> Result<Option<Outcome>> {
        let mut open = read(agent, path)?;
        let record = self.ledger.find(Kind::Server, agent.name(), path, name).cloned();
        let entry = open.document.entry(name);
        if let Some(entry) = &entry {
            // It is wanted nowhere, so that only what is ours passes.
            self.judge(agent, path, name, Some(entry), "", force)?;
            if let Some(record) = &record {
                self.ledger.put(Record { state: State::Removing, ..record.clone() })?;
            }
            open.document.take(name);
            if !self.write_rest(agent, scope, &open, record.as_ref())? {
                return Ok(None);
            }
        }
        if let Some(record) = record {
            self.ledger.drop_record(&record)?;
        }
        Ok(Some(if entry.is_some() { Outcome::Removed } else { Outcome::Unchanged }))
    }

    /// Writes what is left; a file that was made for us and has nothing else goes.
    fn write_rest(
        &self,
        agent: Agent,
        scope: Scope,
        open: &Open,
        record: Option<&Record>,
    ) -> Result<bool> {
        let text = open.document.text();
        let made = record.is_some_and(|r| r.made);
        if made && Document::is_fresh(agent.row().format, &text) {
            return open.snapshot.remove(&self.backups);
        }
        open.snapshot.replace(&text, fresh_mode(scope), &self.backups)
    }
}

/// Reads an agent's file.
pub(crate) fn read(agent: Agent, path: &Path) -> Result<Open> {
    let snapshot = Snapshot::read(path)?;
    let row = agent.row();
    let document = Document::parse(row.format, row.key, snapshot.text()).map_err(|flaw| {
        let (line, column, why) = (flaw.line, flaw.column, flaw.why);
        AgentError::Broken { path: snapshot.target.clone(), line, column, why }
    })?;
    Ok(Open { snapshot, document })
}

fn guard(agent: Agent, scope: Scope, path: &Path) -> Result<Option<Guard>> {
    if agent.row().locks && scope == Scope::User { Guard::take(path) } else { Ok(None) }
}

/// The mode of a file that did not exist: the user's alone, or as files of the project are.
fn fresh_mode(scope: Scope) -> u32 {
    match scope {
        Scope::User => 0o600,
        Scope::Project => 0o666,
    }
}
