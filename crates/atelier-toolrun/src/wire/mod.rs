//! Tools in agents: which server and which skill a tool is to an agent, and the same tool put into
//! many agents and taken out again. What an agent's file looks like is `atelier-agents`' business.
//!
//! No secret goes into an agent's file: the agent is given `atelier tool exec NAME`, which brings
//! settings and secrets along when it starts. A server behind a URL is given as that URL, unless a
//! secret belongs to it or the agent doesn't speak its transport; then it is bridged by the same
//! command.

mod drift;
mod entry;
mod plug;

use atelier_agents::{Agent, AgentError};
use atelier_api::ExitCode;

use crate::{Slug, ToolsError};

pub use drift::{Drifted, Mended};
pub use plug::{Wired, Wiring};

/// The error of an agent's file as one of the tools.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_agent(error: AgentError) -> ToolsError {
    ToolsError::of_part(&error)
}

/// No agent is on this machine.
fn no_agents() -> ToolsError {
    let all: Vec<_> = Agent::all().map(Agent::title).collect();
    ToolsError::Other {
        code: "tool.no_agents",
        exit: ExitCode::Configuration,
        message: format!("none of these agents is on this machine: {}", all.join(", ")),
        hints: vec!["name one to have it wired for when it comes: --claude, --codex, …".to_owned()],
    }
}

/// A tool that has nothing for an agent.
fn nothing_to_plug(slug: &Slug) -> ToolsError {
    ToolsError::Other {
        code: "tool.nothing_to_plug",
        exit: ExitCode::InvalidInput,
        message: format!(
            "{slug} has neither an MCP server nor a skill, so there is nothing to wire"
        ),
        hints: vec![format!("what it has: atelier tool show {slug}")],
    }
}
