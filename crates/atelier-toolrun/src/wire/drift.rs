//! What became of what was wired, and mending it.

use atelier_agents::{Agent, Drift, Kind, Scope, What};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Wiring, of_agent};
use crate::{Result, Slug};

/// Something in an agent that is not as it was written, or that nobody needs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Drifted {
    /// What was written, and what is there now.
    #[serde(flatten)]
    pub drift: Drift,
    /// The same in words.
    pub says: String,
}

/// What was done about it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Mended {
    /// What it was.
    pub says: String,
    /// Why it could not be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Wiring<'_> {
    /// Everything in agents that is not as it was written. `installed` says which tools there are.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn drift(&self, installed: &[Slug]) -> Result<Vec<Drifted>> {
        let exists = |name: &str| installed.iter().any(|slug| slug.as_str() == name);
        let drifts = self.open()?.drift(exists);
        Ok(drifts.into_iter().map(|drift| Drifted { says: words(&drift), drift }).collect())
    }

    /// Takes out what nobody needs, and writes again what is missing. What somebody changed by hand is
    /// left as it is.
    ///
    /// # Errors
    /// When the ledger can't be written.
    pub fn mend(&self, installed: &[Slug]) -> Result<Vec<Mended>> {
        let mut done = Vec::new();
        for Drifted { drift, says } in self.drift(installed)? {
            let mended = match drift.what {
                What::Orphan => {
                    self.open()?.withdraw(&drift.record, false).map(drop).map_err(of_agent)
                }
                What::Missing => self.again(&drift, installed),
                What::Changed | What::Unknown(_) => continue,
            };
            done.push(Mended { says, problem: mended.err().map(|e| e.to_string()) });
        }
        Ok(done)
    }

    /// Writes again what is missing, or forgets it when its tool is gone too.
    fn again(&self, drift: &Drift, installed: &[Slug]) -> Result<()> {
        let record = &drift.record;
        let tool = installed.iter().find(|slug| slug.as_str() == record.name);
        match (tool, record.scope) {
            (Some(tool), Scope::User) => {
                let user = Self { scope: Scope::User, ..self.clone() };
                let agent = Agent::find(&record.agent).map_err(of_agent)?;
                user.plug(std::slice::from_ref(tool), &[agent]).map(drop)
            }
            // Which project it was in is not known here.
            _ => self.open()?.forget(record).map_err(of_agent),
        }
    }
}

fn words(drift: &Drift) -> String {
    let record = &drift.record;
    let what = match record.kind {
        Kind::Server => "the server",
        Kind::Skill => "the skill",
    };
    let place = format!("{what} {} in {} ({})", record.name, record.agent, record.path.display());
    match &drift.what {
        What::Missing => format!("{place} is not there any more"),
        What::Changed => format!("{place} was changed by hand"),
        What::Orphan => format!("{place} is of a tool that is not installed"),
        What::Unknown(why) => format!("{place} cannot be looked at: {why}"),
    }
}
