//! `atelier sandbox ls`: the sandboxes there are.

use atelier_api::sandbox::{Sandbox, SandboxList, SandboxListInput, SandboxState};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::args::pair;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, table, until};

/// Enough of an id to tell sandboxes apart.
const SHORT_ID: usize = 12;

/// Arguments of `atelier sandbox ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only those in this state (repeatable)
    #[arg(long, value_name = "STATE")]
    pub state: Vec<State>,
    /// Only those with this word (repeatable: with all of them)
    #[arg(long, visible_alias = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub metadata: Vec<(String, String)>,
    /// Only those of this runtime
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Only those made from this image or template
    #[arg(long, value_name = "FROM")]
    pub from: Option<String>,
    /// Only names and ids, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// A sandbox's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Being made
    Creating,
    /// Its guest answers
    Running,
    /// Processes and memory are kept
    Paused,
    /// Only its files are kept
    Stopped,
    /// Being removed
    Removing,
}

impl From<State> for SandboxState {
    fn from(state: State) -> Self {
        match state {
            State::Creating => Self::Creating,
            State::Running => Self::Running,
            State::Paused => Self::Paused,
            State::Stopped => Self::Stopped,
            State::Removing => Self::Removing,
        }
    }
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let input = SandboxListInput {
        state: args.state.iter().copied().map(SandboxState::from).collect(),
        metadata: args.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        runtime: args.runtime.clone(),
        from: args.from.clone(),
    };
    let found = context.call::<SandboxList>(&input)?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        print(found.iter().map(|one| format!("{}\n", called(one))).collect::<String>())?;
    } else {
        let rows: Vec<_> = found.iter().map(row).collect();
        print(table(["ID", "NAME", "STATE", "RUNTIME", "FROM", "AGE", "EXPIRES"], &rows))?;
    }
    Ok(0)
}

/// What a sandbox is called: its name, or its id.
pub(super) fn called(sandbox: &Sandbox) -> &str {
    sandbox.name.as_ref().map_or(&sandbox.id, |name| name.as_str())
}

fn row(sandbox: &Sandbox) -> [String; 7] {
    let none = || "-".to_owned();
    [
        sandbox.id.chars().take(SHORT_ID).collect(),
        sandbox.name.as_ref().map_or_else(none, ToString::to_string),
        state(sandbox.state).to_owned(),
        sandbox.runtime.clone(),
        from(sandbox).unwrap_or("-").to_owned(),
        age(sandbox.created_at),
        sandbox.expires_at.map_or_else(none, |end| until(end, Timestamp::now())),
    ]
}

/// What it was made from, in the word that the user knows.
pub(super) fn from(sandbox: &Sandbox) -> Option<&str> {
    sandbox.template.as_deref().or(sandbox.snapshot.as_deref()).or(sandbox.image.as_deref())
}

/// A state's word, as the API has it.
pub(super) const fn state(state: SandboxState) -> &'static str {
    match state {
        SandboxState::Creating => "creating",
        SandboxState::Running => "running",
        SandboxState::Paused => "paused",
        SandboxState::Stopped => "stopped",
        SandboxState::Removing => "removing",
    }
}
