//! What became of what was written: mending what a killed run left, and telling what others changed.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::Agent;
use crate::error::Result;
use crate::file;
use crate::ledger::{Kind, Record, State};
use crate::skills;
use crate::wiring::{Wiring, read};

/// A record that no longer tells the truth, or that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drift {
    /// The record.
    pub record: Record,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It is not there any more.
    Missing,
    /// Somebody changed it.
    Changed,
    /// Its tool is gone.
    Orphan,
    /// It cannot be looked at, and why.
    Unknown(String),
}

impl Wiring {
    /// Everything that is not as it was written. `exists` says whether a tool of a name is installed.
    #[must_use]
    pub fn drift(&self, exists: impl Fn(&str) -> bool) -> Vec<Drift> {
        let look = |record: &Record| {
            let what = match now(record) {
                Err(error) => What::Unknown(error.to_string()),
                Ok(None) => What::Missing,
                Ok(Some(hash)) if hash != record.hash => What::Changed,
                Ok(Some(_)) if !exists(&record.name) => What::Orphan,
                Ok(Some(_)) => return None,
            };
            Some(Drift { record: record.clone(), what })
        };
        self.ledger.records.iter().filter_map(look).collect()
    }

    /// Forgets a record; what it names stays as it is.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn forget(&mut self, record: &Record) -> Result<()> {
        self.ledger.drop_record(record)
    }

    /// Makes unfinished records tell what is there: the agent's file is the truth.
    pub(crate) fn mend(&mut self) -> Result<()> {
        let unfinished: Vec<_> =
            self.ledger.records.iter().filter(|r| r.state != State::Done).cloned().collect();
        for record in unfinished {
            match record.kind {
                Kind::Server => file::clear_leftovers(&record.path),
                Kind::Skill => skills::clear_leftovers(&record.path),
            }
            // What cannot be read now is left for the next time.
            let Ok(now) = now(&record) else { continue };
            match (settled(&record, now.as_deref()), now) {
                (Some(hash), _) => {
                    self.ledger.put(Record { state: State::Done, hash, ..record })?;
                }
                (None, _) => self.ledger.drop_record(&record)?,
            }
        }
        Ok(())
    }
}

/// The hash that an unfinished record is to have; none when it is to go.
fn settled(record: &Record, now: Option<&str>) -> Option<String> {
    let now = now?;
    match &record.state {
        // Something else is there: it was ours before, so it still counts as changed; or it never was.
        State::Writing { before } if now != record.hash => before.clone(),
        _ => Some(record.hash.clone()),
    }
}

/// The hash of what is there now; none where nothing is.
fn now(record: &Record) -> Result<Option<String>> {
    let agent = Agent::find(&record.agent)?;
    match record.kind {
        Kind::Server => server(agent, &record.path, &record.name),
        Kind::Skill => skills::hash_of(&record.path),
    }
}

fn server(agent: Agent, path: &Path, name: &str) -> Result<Option<String>> {
    let entry = read(agent, path)?.document.entry(name);
    Ok(entry.map(|entry| agent.shape().hash(&entry)))
}
