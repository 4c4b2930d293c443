//! The ledger: everything that was written into agents, so that it can be taken out again when the
//! tool, or the agent, is gone. It is written before an agent's file (what is going to be), and after.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::Scope;
use crate::error::{AgentError, Result};
use crate::file::{make_folders, write_private};

const SCHEMA: &str = "atelier-agents/1";
/// How often another run's lock is asked for, and how long between.
const TRIES: usize = 100;
const STEP: Duration = Duration::from_millis(100);

/// One thing that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The agent's name.
    pub agent: String,
    /// For whom.
    pub scope: Scope,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// The file that it stands in, or the skill's folder.
    pub path: PathBuf,
    /// The key that it stands under; none for a skill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What was written, as a hash.
    pub hash: String,
    /// How far it got.
    pub state: State,
    /// The file was made for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
    /// When it was written.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An entry for an MCP server.
    Server,
    /// A folder with a skill.
    Skill,
}

/// How far a change got. Anything but [`State::Done`] is what a killed run leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is there.
    Done,
    /// It is about to be written.
    Writing {
        /// The hash of what Atelier had written there before; none where nothing was.
        before: Option<String>,
    },
    /// It is about to be taken away.
    Removing,
}

impl Kind {
    /// In words.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Skill => "skill",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Text {
    schema: String,
    records: Vec<Record>,
}

/// The ledger, held by this run alone.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    pub records: Vec<Record>,
    _lock: File,
}

impl Ledger {
    /// Waits for other runs, and reads.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = lock(path)?;
        let bad = |why: String| AgentError::Ledger { path: path.to_owned(), why };
        let records = match fs::read_to_string(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(AgentError::file("read", path, e)),
            Ok(text) => {
                let text: Text = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
                if text.schema != SCHEMA {
                    return Err(bad(format!("its schema is {:?}", text.schema)));
                }
                text.records
            }
        };
        Ok(Self { path: path.to_owned(), records, _lock: lock })
    }

    pub fn find(&self, kind: Kind, agent: &str, path: &Path, name: &str) -> Option<&Record> {
        self.records.iter().find(|r| is(r, kind, agent, path, name))
    }

    /// Writes a record in the place of the one for the same thing.
    pub fn put(&mut self, record: Record) -> Result<()> {
        let Record { kind, agent, path, name, .. } = &record;
        self.records.retain(|r| !is(r, *kind, agent, path, name));
        self.records.push(record);
        self.save()
    }

    pub fn drop_record(&mut self, record: &Record) -> Result<()> {
        let Record { kind, agent, path, name, .. } = record;
        self.records.retain(|r| !is(r, *kind, agent, path, name));
        // Another one of the same file has to tidy up after all of them.
        let file = |r: &&mut Record| r.kind == Kind::Server && r.path == record.path;
        if record.made
            && let Some(other) = self.records.iter_mut().find(file)
        {
            other.made = true;
        }
        self.save()
    }

    /// Whether another agent's record names the same thing.
    pub fn is_shared(&self, record: &Record) -> bool {
        self.records.iter().any(|r| {
            r.agent != record.agent
                && r.kind == record.kind
                && r.path == record.path
                && r.name == record.name
        })
    }

    pub fn save(&mut self) -> Result<()> {
        let key = |r: &Record| (r.agent.clone(), r.path.clone(), r.name.clone());
        self.records.sort_by_key(key);
        let text = Text { schema: SCHEMA.into(), records: self.records.clone() };
        let mut text = serde_json::to_string_pretty(&text)
            .map_err(|e| AgentError::Ledger { path: self.path.clone(), why: e.to_string() })?;
        text.push('\n');
        write_private(&self.path, text.as_bytes())
    }
}

fn is(record: &Record, kind: Kind, agent: &str, path: &Path, name: &str) -> bool {
    record.kind == kind && record.agent == agent && record.path == path && record.name == name
}

fn lock(ledger: &Path) -> Result<File> {
    make_folders(ledger.parent().unwrap_or(Path::new("/")), 0o700)?;
    let path = ledger.with_extension("lock");
    let failed = |e| AgentError::file("locked", &path, e);
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(STEP),
            Err(fs::TryLockError::Error(e)) => return Err(failed(e)),
        }
    }
    Err(AgentError::Busy { path: ledger.to_owned() })
}
