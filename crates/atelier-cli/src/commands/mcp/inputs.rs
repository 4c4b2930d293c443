//! The arguments of the MCP tools. Their comments are what models read.

use atelier_plugin::Slug;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Nothing.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Nothing {}

/// A search.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Query {
    /// Words to look for in names and descriptions; empty for everything
    #[serde(default)]
    pub query: String,
    /// Look in the official MCP Registry as well, which has many more; needs a query
    #[serde(default)]
    pub mcp_registry: bool,
}

/// One installed tool.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Named {
    /// The installed tool's name, as `tool_list` has it
    pub name: Slug,
}

/// Some installed tools.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Several {
    /// The installed tools' names; empty for all
    #[serde(default)]
    pub names: Vec<Slug>,
}

/// What is to be installed.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Source {
    /// A name from `tool_search`, a git URL with @REF and #FOLDER, a folder, or mcp:NAME
    pub source: String,
}

/// Tools and agents.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Wires {
    /// The installed tools' names
    pub names: Vec<Slug>,
    /// The agents: claude, codex, gemini, auggie, opencode, cursor, vscode, zed, windsurf; empty for all
    /// that are on this machine
    #[serde(default)]
    pub agents: Vec<String>,
}

/// A call of a function of a tool.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Call {
    /// The installed tool's name
    pub name: Slug,
    /// The function, as `tool_functions` has it
    pub function: String,
    /// Its arguments
    #[serde(default)]
    pub arguments: Map<String, Value>,
}
