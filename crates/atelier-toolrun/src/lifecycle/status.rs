//! How tools are: state, health, processes, memory, processor time, ports. No program is started for a
//! process or a script; one question to the engine is for all containers.

use std::time::Duration;

use atelier_api::Fault;
use atelier_plugin::Maturity;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::keep::Kept;
use super::login;
use super::operate::asker;
use super::ports::Listening;
use super::processes::{self, Stat};
use super::ready::Ready;
use super::state::{Seen, State};
use super::tool::{Kind, Manner, Tool};
use crate::secrets::Settings;
use crate::{Home, Slug};

/// A health check gets no longer than this for a table.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a tool is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Status {
    /// The tool.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// How its service runs.
    pub kind: Kind,
    /// What it does.
    pub state: State,
    /// What its health check says: nothing when it has none or does not run, else empty when it is well.
    pub unwell: Option<String>,
    /// Its processes. Those of containers are not listed.
    pub pids: Vec<i32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processor time since its start, in milliseconds. Two looks make a percentage.
    pub cpu: Option<u64>,
    /// Since when it runs.
    pub since: Option<Timestamp>,
    /// How often it was started again by its keeper.
    pub restarts: u32,
    /// How its process ended the last time.
    pub ended: Option<i32>,
    /// Its ports.
    pub ports: Vec<PortStatus>,
    /// Required settings that have no value.
    pub missing: Vec<String>,
    /// Whether it starts at login.
    pub at_login: bool,
    /// How far its plugin is to be trusted.
    pub maturity: Maturity,
    /// Why the plugin cannot be read, or its engine not be asked.
    pub problem: Option<String>,
}

/// A port of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PortStatus {
    /// The port.
    pub port: u16,
    /// What the plugin calls it.
    pub name: Option<String>,
    /// Its protocol.
    pub protocol: String,
    /// Whether somebody listens.
    pub listening: bool,
    /// Who that is, when it is not the tool.
    pub holder: Option<String>,
}

/// How these tools are, in their order. One that cannot be read is told as such.
pub fn status(home: &Home, slugs: &[Slug], manner: &Manner<'_>) -> Vec<Status> {
    let loaded: Vec<_> = slugs.iter().map(|slug| Tool::load(home, slug)).collect();
    let tools: Vec<Tool> = loaded.iter().flatten().cloned().collect();
    let seen = Seen::measured(home, &tools, manner);
    let listening = Listening::now(tools.iter().flat_map(|tool| &tool.plugin.ports));
    let look = Look { home, manner, seen, listening, running: processes::running() };
    // Health checks and the plugins' own `status` wait for others: all at once.
    std::thread::scope(|scope| {
        let look = &look;
        let one = |(slug, tool): (&Slug, &super::Result<Tool>)| match tool {
            Ok(tool) => scope.spawn({
                let tool = tool.clone();
                move || look.at(&tool)
            }),
            Err(error) => scope.spawn({
                let (slug, why) = (slug.clone(), error.problem().detail);
                move || invalid(slug, why)
            }),
        };
        let all: Vec<_> = slugs.iter().zip(&loaded).map(one).collect();
        all.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

struct Look<'a> {
    home: &'a Home,
    manner: &'a Manner<'a>,
    seen: Seen,
    listening: Listening,
    running: Vec<Stat>,
}

impl Look<'_> {
    fn at(&self, tool: &Tool) -> Status {
        let mut status = empty(tool.slug.clone(), tool.plugin.name.clone());
        status.kind = tool.kind();
        status.maturity = tool.plugin.maturity;
        status.state = self.seen.state(self.home, tool, self.manner);
        status.at_login = login::is_registered(&tool.slug, self.manner);
        status.missing = missing(self.home, tool, self.manner);
        match tool.kind() {
            Kind::Process | Kind::Script => self.processes(tool, &mut status),
            Kind::Compose | Kind::Docker => self.containers(tool, &mut status),
            Kind::Systemd | Kind::None => {}
        }
        status.ports = self.ports(tool, &status);
        if status.state == State::Running {
            self.health(tool, &mut status);
        }
        status
    }

    fn processes(&self, tool: &Tool, status: &mut Status) {
        let roots = self.seen.roots(self.home, tool);
        let all = processes::with_children(&roots, &self.running);
        let kept = Kept::load(self.home, &tool.slug);
        if let Some(kept) = &kept {
            status.restarts = kept.restarts;
            status.ended = kept.ended;
        }
        if all.is_empty() {
            return;
        }
        status.pids = all.iter().map(|stat| stat.process.pid).collect();
        status.memory =
            Some(all.iter().map(|stat| stat.pages).sum::<u64>() * processes::page_size());
        let ticks: u64 = all.iter().map(|stat| stat.ticks).sum();
        status.cpu = Some(ticks * 1000 / processes::TICKS);
        let first = all.iter().map(|stat| stat.process.start).min();
        status.since = kept.map(|kept| kept.since).or_else(|| first.and_then(since));
    }

    fn containers(&self, tool: &Tool, status: &mut Status) {
        match &self.seen.containers {
            Some(Ok(containers)) => {
                let all = containers.of_tool(tool);
                let used: Vec<_> = all.iter().filter_map(|(_, usage)| *usage).collect();
                if !used.is_empty() {
                    status.memory = Some(used.iter().map(|one| one.memory).sum());
                    let nanoseconds: u64 = used.iter().map(|one| one.cpu_nanoseconds).sum();
                    status.cpu = Some(nanoseconds / 1_000_000);
                }
            }
            Some(Err(why)) => status.problem = Some(why.clone()),
            None => {}
        }
    }

    fn ports(&self, tool: &Tool, status: &Status) -> Vec<PortStatus> {
        let published = self.seen.published(tool);
        let one = |port: &atelier_plugin::Port| {
            let holder = self.listening.holder(port);
            let own = published.contains(&port.port)
                || holder
                    .as_ref()
                    .is_some_and(|(pid, _)| pid.is_some_and(|pid| status.pids.contains(&pid)));
            PortStatus {
                port: port.port,
                name: port.name.clone(),
                protocol: port.protocol.clone(),
                listening: holder.is_some(),
                holder: holder.map(|(_, words)| words).filter(|_| !own),
            }
        };
        tool.plugin.ports.iter().map(one).collect()
    }

    fn health(&self, tool: &Tool, status: &mut Status) {
        let Some(health) = &tool.plugin.health else { return };
        let ready = Ready::at_least(self.home, tool.clone(), self.manner);
        let mut health = health.clone();
        health.timeout = health.timeout.min(PATIENCE);
        let Ok(asker) = asker(self.home, &ready) else { return };
        match asker.ask(&health) {
            Ok(()) => status.unwell = Some(String::new()),
            Err(why) => {
                status.unwell = Some(why);
                status.state = State::Unhealthy;
            }
        }
    }
}

/// Required settings without a value. No secret is opened for that.
fn missing(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Vec<String> {
    let settings = Settings::load(home, &tool.slug).unwrap_or_default();
    let lacking = |variable: &&atelier_plugin::Variable| {
        let default = variable.default.as_deref().is_some_and(|text| !text.is_empty());
        let around = manner.variable(&variable.name).is_some_and(|text| !text.is_empty());
        variable.required && !default && !around && !settings.has(&variable.name)
    };
    tool.plugin.env_vars.iter().filter(lacking).map(|variable| variable.name.clone()).collect()
}

/// When a process started that started so many ticks after the boot.
fn since(ticks: u64) -> Option<Timestamp> {
    let age = processes::uptime()? - ticks as f64 / processes::TICKS as f64;
    let age = jiff::SignedDuration::try_from_secs_f64(age.max(0.0)).ok()?;
    Timestamp::now().checked_sub(age).ok()
}

fn empty(slug: Slug, name: String) -> Status {
    Status {
        slug,
        name,
        kind: Kind::None,
        state: State::Unknown,
        unwell: None,
        pids: Vec::new(),
        memory: None,
        cpu: None,
        since: None,
        restarts: 0,
        ended: None,
        ports: Vec::new(),
        missing: Vec::new(),
        at_login: false,
        maturity: Maturity::AiGenerated,
        problem: None,
    }
}

fn invalid(slug: Slug, why: String) -> Status {
    let name = slug.to_string();
    Status { state: State::Invalid, problem: Some(why), ..empty(slug, name) }
}
