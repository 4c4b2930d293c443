//! `atelier tool plug`: tools are wired into coding agents.

use atelier_agents::{Change, Outcome, Scope};
use atelier_plugin::Slug;
use atelier_toolrun::wire::Wired;
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Which agents.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Agents")]
#[allow(clippy::struct_excessive_bools, reason = "a flag for each agent")]
pub(crate) struct AgentArgs {
    /// Claude Code
    #[arg(long)]
    pub claude: bool,
    /// Codex
    #[arg(long)]
    pub codex: bool,
    /// Gemini CLI
    #[arg(long)]
    pub gemini: bool,
    /// Auggie
    #[arg(long)]
    pub auggie: bool,
    /// OpenCode
    #[arg(long)]
    pub opencode: bool,
    /// Cursor
    #[arg(long)]
    pub cursor: bool,
    /// VS Code
    #[arg(long)]
    pub vscode: bool,
    /// Zed
    #[arg(long)]
    pub zed: bool,
    /// Windsurf
    #[arg(long)]
    pub windsurf: bool,
    /// Every agent that is on this machine
    #[arg(long, conflicts_with_all = ["claude", "codex", "gemini", "auggie", "opencode", "cursor", "vscode", "zed", "windsurf"])]
    pub all: bool,
}

impl AgentArgs {
    /// The agents that were named.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let flags = [
            (self.claude, "claude"),
            (self.codex, "codex"),
            (self.gemini, "gemini"),
            (self.auggie, "auggie"),
            (self.opencode, "opencode"),
            (self.cursor, "cursor"),
            (self.vscode, "vscode"),
            (self.zed, "zed"),
            (self.windsurf, "windsurf"),
        ];
        flags.into_iter().filter_map(|(on, name)| on.then_some(name)).collect()
    }
}

/// Arguments of `atelier tool plug` and of `unplug`.
#[derive(Debug, Args)]
pub(crate) struct WiringArgs {
    /// The tools
    #[arg(value_name = "NAME", value_parser = slug, required = true)]
    pub names: Vec<Slug>,
    /// In the current project's files instead of your own
    #[arg(long)]
    pub project: bool,
    /// Go over what you wrote under the same name, or changed
    #[arg(short, long)]
    pub force: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub agents: AgentArgs,
}

impl WiringArgs {
    /// For whom.
    pub(crate) const fn scope(&self) -> Scope {
        if self.project { Scope::Project } else { Scope::User }
    }
}

/// Wires them. Without an agent's name: into every agent that is on this machine.
pub(crate) fn run(args: &WiringArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    desk.tools(&args.names)?;
    let wiring = desk.wiring(args.scope(), args.force)?;
    let agents = wiring.agents(&args.agents.names())?;
    finish(args.json, &wiring.plug(&args.names, &agents)?)
}

/// Says what became of it. The exit code is that of the first failure.
pub(super) fn finish(json: bool, lines: &[Wired]) -> Result<u8, Failure> {
    if json {
        print_json(&lines)?;
        return Ok(code(lines));
    }
    show_all(lines)
}

fn code(lines: &[Wired]) -> u8 {
    lines.iter().find_map(|line| line.problem.as_ref()).map_or(0, |problem| problem.exit)
}

/// A line for each; failures and what is to be known on standard error.
fn show_all(lines: &[Wired]) -> Result<u8, Failure> {
    lines.iter().try_for_each(show)?;
    let mut notes: Vec<_> = lines.iter().flat_map(|line| &line.notes).collect();
    notes.sort();
    notes.dedup();
    notes.into_iter().for_each(|text| note(text));
    Ok(code(lines))
}

fn show(line: &Wired) -> Result<(), Failure> {
    if let Some(problem) = &line.problem {
        Failure::from(problem.clone()).report(false);
        return Ok(());
    }
    let said = [("server", &line.server), ("skill", &line.skill)];
    let said = said.iter().filter_map(|(what, change)| {
        change.as_ref().map(|change| format!("{what} {}", word(change)))
    });
    let said: Vec<_> = said.collect();
    print(format!("{} in {}: {}\n", line.tool, line.agent, said.join(", ")))
}

const fn word(change: &Change) -> &'static str {
    match change.outcome {
        Outcome::Added => "added",
        Outcome::Updated => "updated",
        Outcome::Unchanged => "as it was",
        Outcome::Removed => "removed",
    }
}
