//! How the hook stands. Changes nothing, and needs no root.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::journal::{Journal, Phase};
use super::{System, Way};
use crate::error::Result;
use crate::name;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no hook.
    None,
    /// The system asks our server for our suffixes.
    SetUp,
    /// There is a hook, but for another server or other suffixes.
    Different,
    /// Setting up or removing was interrupted. Either can be repeated.
    Interrupted,
    /// Somebody else has changed files of the hook.
    Changed,
}

/// How the hook stands, and what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// How it stands.
    pub state: State,
    /// The way into the resolver.
    pub way: Option<Way>,
    /// The server that the system was told.
    pub server: Option<SocketAddr>,
    /// The suffixes that it was told.
    pub domains: Vec<String>,
    /// To whom our server must forward, as of [`super::Plan::forward`].
    pub forward: Vec<SocketAddr>,
    /// The hook's files.
    pub files: Vec<PathBuf>,
    /// Those of them that somebody else has changed or removed.
    pub changed: Vec<PathBuf>,
}

/// Looks how the hook stands.
///
/// # Errors
/// [`crate::Error::Damaged`], and those of files.
pub fn status(system: &System) -> Result<Status> {
    let Some(journal) = Journal::read(system)? else {
        return Ok(Status {
            state: State::None,
            way: None,
            server: None,
            domains: Vec::new(),
            forward: Vec::new(),
            files: Vec::new(),
            changed: Vec::new(),
        });
    };
    let mut changed = journal.foreign(system)?;
    if journal.phase == Phase::SetUp {
        changed = journal.not_ours(system)?;
    }
    let plan = journal.plan;
    let mut wanted: Vec<String> = system.domains.iter().flat_map(|d| name::suffix(d)).collect();
    wanted.sort();
    wanted.dedup();
    let state = if !changed.is_empty() {
        State::Changed
    } else if journal.phase != Phase::SetUp {
        State::Interrupted
    } else if plan.server != system.server || plan.domains != wanted {
        State::Different
    } else {
        State::SetUp
    };
    Ok(Status {
        state,
        way: Some(plan.way),
        server: Some(plan.server),
        domains: plan.domains,
        forward: plan.forward,
        files: plan.files.into_iter().map(|change| change.path).collect(),
        changed,
    })
}
