//! Whether a tool's service runs, from one look at all processes and one question to the engine.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::defaults::{self, Verb};
use super::engine::Containers;
use super::keep::Kept;
use super::process;
use super::processes::{Stat, of_services};
use super::ready::Ready;
use super::tool::{Kind, Manner, Tool};
use crate::{Home, Slug};

/// A plugin's own `status` gets so long.
const STATUS: Duration = Duration::from_secs(10);

/// What a tool's service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// Some of its containers run.
    Partial,
    /// It runs, and its health check says that it is not well.
    Unhealthy,
    /// It does not run.
    Stopped,
    /// Its process has ended with a failure.
    Failed,
    /// It has no service: agents start its MCP server.
    OnDemand,
    /// It has neither a service nor a server.
    None,
    /// Nobody can tell: its engine does not answer, or the plugin has no `status`.
    Unknown,
    /// Its plugin cannot be read.
    Invalid,
}

/// What was seen of all tools at one moment.
pub(crate) struct Seen {
    pub marked: Vec<(Slug, Stat)>,
    /// Nothing when no tool has containers; an error when the engine does not answer.
    pub containers: Option<Result<Containers, String>>,
}

impl Seen {
    /// Looks; what containers use is measured by [`Seen::measured`] only.
    pub(crate) fn now(home: &Home, tools: &[Tool], manner: &Manner<'_>) -> Self {
        Self::look(home, tools, manner, false)
    }

    /// The same with what containers use.
    pub(crate) fn measured(home: &Home, tools: &[Tool], manner: &Manner<'_>) -> Self {
        Self::look(home, tools, manner, true)
    }

    fn look(home: &Home, tools: &[Tool], manner: &Manner<'_>, measured: bool) -> Self {
        let has = |kinds: &[Kind]| tools.iter().any(|tool| kinds.contains(&tool.kind()));
        let asked = has(&[Kind::Compose, Kind::Docker]);
        let processes = has(&[Kind::Process, Kind::Script]);
        Self {
            marked: if processes { of_services(home) } else { Vec::new() },
            containers: asked
                .then(|| Containers::of(manner, measured).map_err(|error| error.to_string())),
        }
    }

    /// The processes of a tool's service that nobody here has started another one of.
    pub(crate) fn roots(&self, home: &Home, tool: &Tool) -> Vec<i32> {
        process::roots(home, &tool.slug, &self.marked)
    }

    /// The ports that a tool's own containers have.
    pub(crate) fn published(&self, tool: &Tool) -> Vec<u16> {
        let Some(Ok(containers)) = &self.containers else { return Vec::new() };
        let running = containers.of_tool(tool).into_iter();
        running.flat_map(|(c, _)| c.published.iter().map(|(_, port)| *port)).collect()
    }

    /// What a tool does.
    pub(crate) fn state(&self, home: &Home, tool: &Tool, manner: &Manner<'_>) -> State {
        match tool.kind() {
            Kind::None if tool.plugin.mcp.is_some() => State::OnDemand,
            Kind::None => State::None,
            Kind::Process => self.process(home, tool),
            Kind::Compose | Kind::Docker => match &self.containers {
                Some(Ok(containers)) => of_containers(containers, tool),
                _ => asked(home, tool, manner).unwrap_or(State::Unknown),
            },
            Kind::Systemd => asked(home, tool, manner).unwrap_or(State::Unknown),
            Kind::Script => match asked(home, tool, manner) {
                Some(state) => state,
                None if !self.roots(home, tool).is_empty() => State::Running,
                // Without `status` and without a process, it may be a daemon that cleared its environment.
                None if tool.plugin.lifecycle.stop.is_some() => State::Unknown,
                None => State::Stopped,
            },
        }
    }

    fn process(&self, home: &Home, tool: &Tool) -> State {
        if !self.roots(home, tool).is_empty() {
            return State::Running;
        }
        match Kept::load(home, &tool.slug) {
            // Between two tries of a keeper.
            Some(kept) if kept.keeper.lives() => State::Failed,
            // 143: somebody has stopped it.
            Some(kept) if !matches!(kept.ended, None | Some(0 | 143 | 137 | 130)) => State::Failed,
            _ => State::Stopped,
        }
    }
}

fn of_containers(containers: &Containers, tool: &Tool) -> State {
    use atelier_engine::{Health, State as Does};
    let all = containers.of_tool(tool);
    let running = all.iter().filter(|(one, _)| one.state == Does::Running).count();
    // What has done its work and ended well, such as a migration, is not missing.
    let done = |one: &atelier_engine::Container| one.exit_code == Some(0);
    let ended = all.iter().filter(|(one, _)| done(one)).count();
    match running {
        0 => State::Stopped,
        _ if running + ended < all.len() => State::Partial,
        _ if all.iter().any(|(one, _)| one.health == Some(Health::Unhealthy)) => State::Unhealthy,
        _ => State::Running,
    }
}

/// What the plugin's own `status` says, or the default of its kind.
fn asked(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Option<State> {
    let ready = Ready::at_least(home, tool.clone(), manner);
    let line = defaults::line(tool, Verb::Status, &ready.environment)?;
    let quiet = |_: &super::tool::Happening| {};
    let quiet = Manner {
        environment: Default::default(),
        keeper: Vec::new(),
        program: Default::default(),
        engine: None,
        progress: &quiet,
    };
    Some(match ready.run(home, &quiet, "status", &line, Some(STATUS)) {
        Ok(()) => State::Running,
        Err(super::Error::Command { code: 124 | 126 | 127, .. }) => State::Unknown,
        Err(_) => State::Stopped,
    })
}
