//! Many tools into many agents, and out again. What fails in one agent fails there alone.

use atelier_agents::{Agent, Change, Places, Scope};
use atelier_api::{Fault, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use super::{entry, of_agent};
use crate::lifecycle::Tool;
use crate::secrets::{Purpose, Variables, resolve};
use crate::{Home, Result, Slug};

/// What became of one tool in one agent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Wired {
    /// The tool.
    pub tool: Slug,
    /// The agent, as on the command line.
    pub agent: String,
    /// For whom.
    pub scope: Scope,
    /// Its server's entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Change>,
    /// Its skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<Change>,
    /// What the user has to do besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it is not wired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Wires the tools of a home into agents.
#[derive(Debug, Clone)]
pub struct Wiring<'a> {
    /// The home.
    pub home: &'a Home,
    /// Where agents' files are looked for.
    pub places: Places,
    /// The path of our own program, as agents shall start it.
    pub program: String,
    /// For whom.
    pub scope: Scope,
    /// Go over what the user wrote under the same name, or changed.
    pub force: bool,
}

impl Wiring<'_> {
    /// The agents of these names; of none: those that are on this machine.
    ///
    /// # Errors
    /// When a name is no agent's, or no agent is here.
    pub fn agents(&self, names: &[&str]) -> Result<Vec<Agent>> {
        if !names.is_empty() {
            return names.iter().map(|name| Agent::find(name).map_err(of_agent)).collect();
        }
        match self.here()? {
            here if here.is_empty() => Err(super::no_agents()),
            here => Ok(here),
        }
    }

    fn here(&self) -> Result<Vec<Agent>> {
        let mut here = Vec::new();
        for agent in Agent::all() {
            if agent.probe(&self.places).map_err(of_agent)?.installed {
                here.push(agent);
            }
        }
        Ok(here)
    }

    /// The agents of these names; of none: those that have one of the tools, or are on this machine.
    ///
    /// # Errors
    /// When a name is no agent's, or the ledger can't be read.
    pub fn agents_with(&self, tools: &[Slug], names: &[&str]) -> Result<Vec<Agent>> {
        if !names.is_empty() {
            return self.agents(names);
        }
        let mut all = self.here()?;
        for (tool, agent) in self.plugged()? {
            let agent = Agent::find(&agent).map_err(of_agent)?;
            if tools.iter().any(|slug| slug.as_str() == tool) && !all.contains(&agent) {
                all.push(agent);
            }
        }
        Ok(all)
    }

    /// Puts tools into agents. Doing it twice is the same as once.
    ///
    /// # Errors
    /// When a tool is not there or has nothing to wire, or the ledger can't be written; what fails in
    /// one agent stands in its line.
    pub fn plug(&self, tools: &[Slug], agents: &[Agent]) -> Result<Vec<Wired>> {
        let ready: Vec<_> = tools.iter().map(|slug| self.ready(slug)).collect::<Result<_>>()?;
        let mut wiring = self.open()?;
        let mut lines = Vec::new();
        for (tool, variables) in &ready {
            for agent in agents {
                lines.push(self.plug_one(&mut wiring, tool, variables, *agent));
            }
        }
        Ok(lines)
    }

    /// Those of some tools that have something to wire.
    #[must_use]
    pub fn pluggable(&self, tools: &[Slug]) -> Vec<Slug> {
        tools.iter().filter(|slug| self.ready(slug).is_ok()).cloned().collect()
    }

    fn ready(&self, slug: &Slug) -> Result<(Tool, Variables)> {
        let tool = Tool::load(self.home, slug)?;
        if tool.plugin.mcp.is_none() && entry::skill(self.home, &tool)?.is_none() {
            return Err(super::nothing_to_plug(slug));
        }
        let around = |name: &str| std::env::var(name).ok();
        let variables = resolve(self.home, slug, &tool.plugin, Purpose::Server, around)?;
        Ok((tool, variables))
    }

    fn plug_one(
        &self,
        wiring: &mut atelier_agents::Wiring,
        tool: &Tool,
        variables: &Variables,
        agent: Agent,
    ) -> Wired {
        let mut line = self.line(&tool.slug, agent);
        let can = agent.can();
        if let Err(error) = self.put(wiring, tool, variables, agent, &mut line) {
            line.problem = Some(error.problem());
            return line;
        }
        if self.scope == Scope::Project && !can.note.is_empty() {
            line.notes.push(format!("{}: {}", agent.title(), can.note));
        }
        if !variables.missing.is_empty() {
            let missing = variables.missing.join(", ");
            line.notes.push(format!("needs {missing}: atelier tool setup {}", tool.slug));
        }
        line
    }

    fn put(
        &self,
        wiring: &mut atelier_agents::Wiring,
        tool: &Tool,
        variables: &Variables,
        agent: Agent,
        line: &mut Wired,
    ) -> Result<()> {
        let (can, scope) = (agent.can(), self.scope);
        if let Some(server) = entry::server(tool, variables, &can, scope, &self.program) {
            line.server = Some(wiring.plug(agent, scope, &server, self.force).map_err(of_agent)?);
        }
        if let Some(skill) = entry::skill(self.home, tool)? {
            let done = wiring.plug_skill(agent, scope, &skill, self.force);
            line.skill = Some(done.map_err(of_agent)?);
        }
        Ok(())
    }

    /// Takes tools out of agents, whether they are still installed or not.
    ///
    /// # Errors
    /// When the ledger can't be written; what fails in one agent stands in its line.
    pub fn unplug(&self, tools: &[Slug], agents: &[Agent]) -> Result<Vec<Wired>> {
        let mut wiring = self.open()?;
        let mut lines = Vec::new();
        for slug in tools {
            for agent in agents {
                let mut line = self.line(slug, *agent);
                if let Err(error) = self.take(&mut wiring, slug, *agent, &mut line) {
                    line.problem = Some(error.problem());
                }
                lines.push(line);
            }
        }
        Ok(lines)
    }

    fn take(
        &self,
        wiring: &mut atelier_agents::Wiring,
        slug: &Slug,
        agent: Agent,
        line: &mut Wired,
    ) -> Result<()> {
        let (scope, force) = (self.scope, self.force);
        let server = wiring.unplug(agent, scope, slug.as_str(), force);
        line.server = Some(server.map_err(of_agent)?);
        let skill = wiring.unplug_skill(agent, scope, slug.as_str(), force);
        line.skill = Some(skill.map_err(of_agent)?);
        Ok(())
    }

    /// Takes a tool out of everything that it was ever put into; gives the agents' names.
    ///
    /// # Errors
    /// The first failure; what could be taken out is.
    pub fn unplug_everywhere(&self, slug: &Slug) -> Result<Vec<String>> {
        let mut wiring = self.open()?;
        let records: Vec<_> =
            wiring.records().iter().filter(|r| r.name == slug.as_str()).cloned().collect();
        let (mut agents, mut failure) = (Vec::new(), None);
        for record in records {
            match wiring.withdraw(&record, self.force) {
                Ok(_) if agents.contains(&record.agent) => {}
                Ok(_) => agents.push(record.agent),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(of_agent(error)),
            None => Ok(agents),
        }
    }

    /// The agents that a tool is in, as the ledger has it.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn plugged(&self) -> Result<Vec<(String, String)>> {
        let wiring = self.open()?;
        let mut pairs: Vec<_> =
            wiring.records().iter().map(|r| (r.name.clone(), r.agent.clone())).collect();
        pairs.sort();
        pairs.dedup();
        Ok(pairs)
    }

    pub(super) fn open(&self) -> Result<atelier_agents::Wiring> {
        let backups = self.home.local().join("agents");
        let ledger = self.home.ledger_file();
        atelier_agents::Wiring::open(self.places.clone(), &ledger, &backups).map_err(of_agent)
    }

    fn line(&self, slug: &Slug, agent: Agent) -> Wired {
        Wired {
            tool: slug.clone(),
            agent: agent.name().to_owned(),
            scope: self.scope,
            server: None,
            skill: None,
            notes: Vec::new(),
            problem: None,
        }
    }
}
