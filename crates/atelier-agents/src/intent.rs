//! Before something is written: whether it may be, and the ledger's word that it is going to be.

use std::path::Path;

use serde_json::Value;

use crate::agent::{Agent, Scope};
use crate::error::{AgentError, Result};
use crate::ledger::{Kind, Record, State};
use crate::wiring::{Outcome, Wiring};

impl Wiring {
    /// What writing `hash` would be, or why it must not be.
    pub(crate) fn judge(
        &self,
        agent: Agent,
        path: &Path,
        name: &str,
        entry: Option<&Value>,
        hash: &str,
        force: bool,
    ) -> Result<Outcome> {
        let Some(entry) = entry else { return Ok(Outcome::Added) };
        let now = agent.shape().hash(entry);
        if now == hash {
            return Ok(Outcome::Unchanged);
        }
        let record = self.ledger.find(Kind::Server, agent.name(), path, name);
        self.allow(agent, Kind::Server, name, path, record, &now, force)?;
        Ok(Outcome::Updated)
    }

    /// Whether what is there now may be gone over.
    #[expect(clippy::too_many_arguments, reason = "one question, asked at two places")]
    pub(crate) fn allow(
        &self,
        agent: Agent,
        kind: Kind,
        name: &str,
        path: &Path,
        record: Option<&Record>,
        now: &str,
        force: bool,
    ) -> Result<()> {
        let (agent, what, name, path) = (agent.title(), kind.word(), name.into(), path.to_owned());
        match record {
            _ if force => Ok(()),
            Some(record) if record.hash == now => Ok(()),
            Some(_) => Err(AgentError::Changed { agent, what, name, path }),
            None => Err(AgentError::Foreign { agent, what, name, path }),
        }
    }

    /// A record of something as it is going to be.
    pub(crate) fn record(
        &self,
        agent: Agent,
        scope: Scope,
        kind: Kind,
        name: &str,
        path: &Path,
        hash: &str,
    ) -> Record {
        let old = self.ledger.find(kind, agent.name(), path, name);
        Record {
            agent: agent.name().into(),
            scope,
            kind,
            name: name.into(),
            path: path.to_owned(),
            key: (kind == Kind::Server).then(|| format!("{}.{name}", agent.row().key)),
            hash: hash.into(),
            state: State::Done,
            made: old.is_some_and(|old| old.made),
            at: jiff::Timestamp::now(),
        }
    }

    /// Writes down what is going to be written.
    pub(crate) fn intend(&mut self, record: &Record) -> Result<()> {
        let Record { kind, agent, path, name, .. } = record;
        let old = self.ledger.find(*kind, agent, path, name);
        let before = old.map(|old| match &old.state {
            State::Writing { before } => before.clone(),
            _ => Some(old.hash.clone()),
        });
        let state = State::Writing { before: before.flatten() };
        self.ledger.put(Record { state, ..record.clone() })
    }

    /// Writes down that it was written.
    pub(crate) fn settle(&mut self, record: Record) -> Result<()> {
        let Record { kind, agent, path, name, .. } = &record;
        let old = self.ledger.find(*kind, agent, path, name);
        let same = old.is_some_and(|old| old.state == State::Done && old.hash == record.hash);
        if same { Ok(()) } else { self.ledger.put(record) }
    }
}
