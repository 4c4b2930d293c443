//! Tools are started, stopped and installed: what they require first, each looked at before the next.

use std::time::{Duration, Instant};

use atelier_api::{ExitCode, Fault, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use super::defaults::{self, Verb};
use super::engine;
use super::error::{Error, Result};
use super::health::Asker;
use super::keep::{Kept, log_file};
use super::order;
use super::ports::Listening;
use super::process;
use super::ready::Ready;
use super::spawn;
use super::state::{self, State};
use super::tool::{Kind, Manner, Step, Tool};
use crate::{Home, Slug};

/// Health checks of containers have times of their own; one that says nothing so long says nothing.
const CONTAINERS: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(500);

/// What became of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It was started.
    Started,
    /// It ran already.
    Already,
    /// It was stopped.
    Stopped,
    /// It has no service.
    NoService,
    /// Something else stood in the way, and nothing was done with it.
    Untried,
    /// It failed.
    Failed,
}

/// A tool and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Outcome {
    /// The tool.
    pub slug: Slug,
    /// What became of it.
    pub became: Became,
    /// Why it failed.
    pub problem: Option<Problem>,
}

/// What became of all of them, in the order in which it was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// One for each tool.
    pub tools: Vec<Outcome>,
}

impl Report {
    /// How the command ends: as its first failure says.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        let first = self.tools.iter().find_map(|tool| tool.problem.as_ref());
        first.map_or(ExitCode::Done, Problem::exit_code)
    }

    fn add(&mut self, slug: &Slug, result: std::result::Result<Became, Error>) -> bool {
        let (became, problem) = match result {
            Ok(became) => (became, None),
            Err(error) => (Became::Failed, Some(error.problem())),
        };
        self.tools.push(Outcome { slug: slug.clone(), became, problem });
        became != Became::Failed
    }
}

/// Starts tools and what they require, each when what it requires is well. What runs already is left
/// alone. When settings are missing or ports are taken, nothing is started at all.
///
/// # Errors
/// When the order cannot be found: [`Error::Cycle`], [`Error::Requires`], [`Error::Plugin`]. Failures of
/// single tools are in the report.
pub fn start(home: &Home, slugs: &[Slug], manner: &Manner<'_>) -> Result<Report> {
    let tools = order::in_order(home, slugs)?;
    let seen = state::Seen::now(home, &tools, manner);
    let mut report = Report::default();
    let mut ready = Vec::new();
    let listening = Listening::now(tools.iter().flat_map(|tool| &tool.plugin.ports));
    let mut hindered = false;
    for tool in tools {
        let slug = tool.slug.clone();
        match before(home, tool, manner, &seen, &listening) {
            Ok(one) => ready.push((slug, Ok(one))),
            Err(error) => {
                hindered = true;
                ready.push((slug, Err(error)));
            }
        }
    }
    for (slug, one) in ready {
        match one {
            Err(error) => drop(report.add(&slug, Err(error))),
            Ok(_) if hindered => drop(report.add(&slug, Ok(Became::Untried))),
            Ok(Before::Nothing(became)) => drop(report.add(&slug, Ok(became))),
            Ok(Before::Start(ready)) => {
                let failed = |name: &&String| {
                    let of = |one: &&Outcome| one.slug.as_str() == name.as_str();
                    report.tools.iter().find(of).is_some_and(|one| one.became == Became::Failed)
                };
                let by = ready.tool.plugin.requires.iter().find(failed).cloned();
                let result = match by {
                    Some(by) => Err(Error::Blocked { slug: slug.to_string(), by }),
                    None => start_one(home, &ready, manner).map(|()| Became::Started),
                };
                report.add(&slug, result);
            }
        }
    }
    Ok(report)
}

enum Before {
    Start(Box<Ready>),
    Nothing(Became),
}

/// What has to be right before anything is started.
fn before(
    home: &Home,
    tool: Tool,
    manner: &Manner<'_>,
    seen: &state::Seen,
    listening: &Listening,
) -> Result<Before> {
    if tool.kind() == Kind::None {
        return Ok(Before::Nothing(Became::NoService));
    }
    if seen.state(home, &tool, manner) == State::Running {
        return Ok(Before::Nothing(Became::Already));
    }
    let ready = Ready::new(home, tool, manner)?;
    ready.variables.check()?;
    let own = seen.published(&ready.tool);
    let ports: Vec<_> =
        ready.tool.plugin.ports.iter().filter(|port| !own.contains(&port.port)).cloned().collect();
    let taken = listening.taken(&ports);
    match taken.is_empty() {
        true => Ok(Before::Start(Box::new(ready))),
        false => Err(Error::Ports { slug: ready.tool.slug.to_string(), taken }),
    }
}

fn start_one(home: &Home, ready: &Ready, manner: &Manner<'_>) -> Result<()> {
    let tool = &ready.tool;
    let _turn = tool.turn(home)?;
    if tool.kind() == Kind::Process {
        manner.tell(&tool.slug, Step::Runs, Some("start"));
        process::start(home, tool, manner)?;
    } else {
        let Some(line) = defaults::line(tool, Verb::Start, &ready.environment) else {
            let reason = "a service of its kind has no default for that".to_owned();
            return Err(Error::NoCommand { slug: tool.slug.to_string(), verb: "start", reason });
        };
        ready.run(home, manner, "start", &line, None)?;
    }
    wait_until_well(home, ready, manner)?;
    manner.tell(&tool.slug, Step::Started, None);
    Ok(())
}

pub(crate) fn wait_until_well(home: &Home, ready: &Ready, manner: &Manner<'_>) -> Result<()> {
    let tool = &ready.tool;
    let log = match tool.kind() {
        Kind::Process => log_file(home, &tool.slug),
        _ => home.run(&tool.slug).join("start.log"),
    };
    let said = || spawn::last_lines(&log, &ready.masker, 20);
    let ended = || match tool.kind() {
        Kind::Process => {
            let kept = Kept::load(home, &tool.slug)?;
            // One that is started again has not ended.
            (kept.child.is_none() && !kept.keeper.lives()).then_some(kept.ended?)
        }
        _ => None,
    };
    if let Some(health) = &tool.plugin.health {
        return asker(home, ready)?.wait(health, manner, &said, &ended);
    }
    if !matches!(tool.kind(), Kind::Compose | Kind::Docker) {
        return Ok(());
    }
    let deadline = Instant::now() + CONTAINERS;
    let mut tries = 0;
    loop {
        tries += 1;
        // An engine that is no more asked here was there for the command a moment ago.
        match engine::health(manner, tool).unwrap_or_default() {
            Some(atelier_engine::Health::Starting) if Instant::now() < deadline => {
                manner.tell(&tool.slug, Step::Waits, Some("its containers are starting"));
                std::thread::sleep(PAUSE);
            }
            None | Some(atelier_engine::Health::Healthy) => return Ok(()),
            Some(health) => {
                let why = format!("the health check of a container says {health:?}").to_lowercase();
                return Err(Error::Unhealthy {
                    slug: tool.slug.to_string(),
                    tries,
                    why,
                    said: said(),
                });
            }
        }
    }
}

/// Asks for the health of a tool.
pub(crate) fn asker<'a>(home: &Home, ready: &'a Ready) -> Result<Asker<'a>> {
    Ok(Asker {
        tool: &ready.tool,
        variables: &ready.variables,
        environment: &ready.environment,
        masker: &ready.masker,
        log: ready.tool.run_folder(home)?.join("health.log"),
    })
}

/// Stops tools and those of `installed` that require them, these first.
///
/// # Errors
/// [`Error::Plugin`] of a tool that was named. Failures of single tools are in the report.
pub fn stop(
    home: &Home,
    slugs: &[Slug],
    installed: &[Slug],
    manner: &Manner<'_>,
) -> Result<Report> {
    let named = slugs.iter().map(|slug| Tool::load(home, slug)).collect::<Result<Vec<_>>>()?;
    let others = installed.iter().filter(|slug| !slugs.contains(slug));
    let others: Vec<Tool> = others.filter_map(|slug| Tool::load(home, slug).ok()).collect();
    let all: Vec<Tool> = named.into_iter().chain(others).collect();
    let mut report = Report::default();
    for slug in order::to_stop(slugs, &all) {
        let Some(tool) = all.iter().find(|tool| tool.slug == slug) else { continue };
        let result = stop_one(home, tool, manner);
        report.add(&slug, result);
    }
    Ok(report)
}

pub(crate) fn stop_one(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Result<Became> {
    if tool.kind() == Kind::None {
        return Ok(Became::NoService);
    }
    let _turn = tool.turn(home)?;
    let ready = Ready::at_least(home, tool.clone(), manner);
    match defaults::line(tool, Verb::Stop, &ready.environment) {
        Some(line) => {
            ready.run(home, manner, "stop", &line, None)?;
            if tool.kind() == Kind::Process {
                process::stop(home, &tool.slug)?;
            }
        }
        None => process::stop(home, &tool.slug)?,
    }
    manner.tell(&tool.slug, Step::Stopped, None);
    Ok(Became::Stopped)
}

/// Stops tools, and starts them again unless one could not be stopped. Of the others that require them,
/// those that ran are started again as well.
///
/// # Errors
/// Those of [`start`] and [`stop`].
pub fn restart(
    home: &Home,
    slugs: &[Slug],
    installed: &[Slug],
    manner: &Manner<'_>,
) -> Result<Report> {
    // Looked at first: what could not be started again is not stopped.
    let tools = order::in_order(home, slugs)?;
    for tool in tools.iter().filter(|tool| tool.kind() != Kind::None) {
        Ready::new(home, tool.clone(), manner)?.variables.check()?;
    }
    let all: Vec<Tool> = installed.iter().filter_map(|slug| Tool::load(home, slug).ok()).collect();
    let seen = state::Seen::now(home, &all, manner);
    let ran = |slug: &Slug| {
        let tool = all.iter().find(|tool| tool.slug == *slug);
        tool.is_some_and(|tool| seen.state(home, tool, manner) == State::Running)
    };
    let again: Vec<Slug> = order::to_stop(slugs, &all).into_iter().rev().collect();
    let again: Vec<Slug> = again.into_iter().filter(|s| slugs.contains(s) || ran(s)).collect();
    let stopped = stop(home, slugs, installed, manner)?;
    if stopped.exit() != ExitCode::Done {
        return Ok(stopped);
    }
    start(home, &again, manner)
}
