//! Coding agents and editors that tools are wired into: Claude Code, Codex, Gemini CLI, Auggie,
//! OpenCode, Cursor, Visual Studio Code, Zed and Windsurf.
//!
//! What lives here: where each keeps its MCP servers and skills, how they are written, read back and
//! taken out with everything else of the user's kept, and the ledger of what was written. What a tool
//! is, which servers it has, and what the user is asked are the callers' business.

mod agent;
mod cut;
mod document;
mod drift;
mod error;
mod file;
mod frontmatter;
mod guard;
mod intent;
mod json;
mod ledger;
mod places;
mod server;
mod shape;
mod skills;
mod table;
mod toml;
mod toml_comments;
mod tree;
mod wiring;

pub use agent::{Agent, Can, Probe, Scope};
pub use drift::{Drift, What};
pub use error::AgentError;
pub use ledger::{Kind, Record, State};
pub use places::Places;
pub use server::{LONGEST_NAME, Server, Transport};
pub use skills::Skill;
pub use wiring::{Change, Found, Outcome, Wiring};
