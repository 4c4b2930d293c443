//! What a tool is to an agent: the entry of its server, and its skill.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use atelier_agents::{Can, Scope, Server, Skill, Transport};
use atelier_plugin::{Mcp, Transport as Spoken};

use crate::lifecycle::Tool;
use crate::secrets::{Variables, references, substitute};
use crate::{Home, Result, ToolsError};

/// The text that tells an agent how to use a tool.
const SKILL: &str = "SKILL.md";

/// The entry of a tool's server in an agent that `can` so much; none when it has no server.
pub(super) fn server(
    tool: &Tool,
    variables: &Variables,
    can: &Can,
    scope: Scope,
    program: &str,
) -> Option<Server> {
    let mcp = tool.plugin.mcp.as_ref()?;
    let direct = match mcp.transport {
        Spoken::Stdio => None,
        Spoken::Http => can.http.then(|| remote(tool, mcp, variables)).flatten(),
        Spoken::Sse => can.sse.then(|| remote(tool, mcp, variables)).flatten(),
    };
    let transport = direct.unwrap_or_else(|| started(tool, scope, program));
    Some(Server { name: tool.slug.to_string(), transport, timeout: mcp.timeout })
}

/// `atelier tool exec NAME`. A file that a project's people share names no place of this machine.
fn started(tool: &Tool, scope: Scope, program: &str) -> Transport {
    let command = match scope {
        Scope::User => program,
        Scope::Project => "atelier",
    };
    let args = ["tool", "exec", tool.slug.as_str()].map(str::to_owned).to_vec();
    Transport::Stdio { command: command.to_owned(), args, env: BTreeMap::new() }
}

/// The server's own URL, where no secret belongs to it.
fn remote(tool: &Tool, mcp: &Mcp, variables: &Variables) -> Option<Transport> {
    let endpoint = mcp.endpoint.as_deref()?;
    let texts = || std::iter::once(endpoint).chain(mcp.headers.values().map(String::as_str));
    let secret = |name: &str| {
        tool.plugin.variable(name).is_some_and(|variable| variable.secret)
            || variables.values.get(name).is_some_and(|value| value.secret)
    };
    if texts().flat_map(references).any(secret) {
        return None;
    }
    let value = |name: &str| variables.get(name).map(|text| text.expose().to_owned());
    let url = substitute(endpoint, value);
    let headers: BTreeMap<_, _> =
        mcp.headers.iter().map(|(name, text)| (name.clone(), substitute(text, value))).collect();
    Some(match mcp.transport {
        Spoken::Sse => Transport::Sse { url, headers },
        _ => Transport::Http { url, headers },
    })
}

/// The skill of a tool: the user's own text over the plugin's; none when there is none.
pub(super) fn skill(home: &Home, tool: &Tool) -> Result<Option<Skill>> {
    let places = [home.custom(&tool.slug).join(SKILL), tool.folder.join(SKILL)];
    let Some(file) = places.iter().find(|file| file.is_file()) else { return Ok(None) };
    let text = read(file)?;
    let skill = Skill::from_text(tool.slug.as_str(), &tool.plugin.description, &text);
    skill.map(Some).map_err(super::of_agent)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(ToolsError::file("read", file))
}
