//! What adding, removing and upgrading tools ask of their life: commands of the plugin, whether it runs,
//! whether it is well, and that nothing is left.

use super::defaults::{self, Verb};
use super::error::{Error, Result};
use super::operate::asker;
use super::process;
use super::ready::Ready;
use super::state::{Seen, State};
use super::tool::{Kind, Manner, Tool};
use crate::{Home, Hooks, Slug, ToolsError};

/// Runs the plugin's `install` or `uninstall`, or the default of its kind. Whether there was something to
/// run.
///
/// # Errors
/// [`Error::Settings`] when `install` lacks required settings, [`Error::Command`].
pub fn hook(home: &Home, slug: &Slug, verb: Verb, manner: &Manner<'_>) -> Result<bool> {
    let tool = Tool::load(home, slug)?;
    let ready = match verb {
        Verb::Install => {
            let ready = Ready::new(home, tool, manner)?;
            ready.variables.check()?;
            ready
        }
        _ => Ready::at_least(home, tool, manner),
    };
    match defaults::line(&ready.tool, verb, &ready.environment) {
        None => Ok(false),
        Some(line) => {
            let _turn = ready.tool.turn(home)?;
            ready.run(home, manner, verb.name(), &line, None)?;
            Ok(true)
        }
    }
}

/// Ends everything that still runs with the mark of this tool's service: after a removal nothing is left.
///
/// # Errors
/// [`Error::StillRuns`].
pub fn end_all(home: &Home, slug: &Slug) -> Result<()> {
    process::stop(home, slug)
}

/// Whether a tool's service runs now.
///
/// # Errors
/// [`Error::Plugin`].
pub fn runs(home: &Home, slug: &Slug, manner: &Manner<'_>) -> Result<bool> {
    let tool = Tool::load(home, slug)?;
    let tools = [tool];
    let seen = Seen::now(home, &tools, manner);
    let state = seen.state(home, &tools[0], manner);
    Ok(matches!(state, State::Running | State::Partial | State::Unhealthy))
}

/// Asks for a tool's health once. A tool without a health check is well when it runs.
///
/// # Errors
/// [`Error::Unhealthy`].
pub fn healthy(home: &Home, slug: &Slug, manner: &Manner<'_>) -> Result<()> {
    let ready = Ready::new(home, Tool::load(home, slug)?, manner)?;
    let unwell = |why: String| {
        let slug = slug.to_string();
        Err(Error::Unhealthy { slug, tries: 1, why, said: String::new() })
    };
    match &ready.tool.plugin.health {
        Some(health) => asker(home, &ready)?.ask(health).or_else(unwell),
        None if ready.tool.kind() == Kind::None || runs(home, slug, manner)? => Ok(()),
        None => unwell("it does not run".to_owned()),
    }
}

/// What verbs that change the home call: commands and services as they are, and what takes a tool out of
/// the agents, which is the caller's.
pub struct ServiceHooks<'a> {
    /// The home.
    pub home: &'a Home,
    /// How things are done.
    pub manner: &'a Manner<'a>,
    /// Sees that its required settings have values; gives the names of those that have none.
    pub configure: &'a dyn Fn(&Slug) -> crate::Result<Vec<String>>,
    /// Takes a tool out of all agents; gives the names of those it was in.
    pub unplug: &'a dyn Fn(&Slug) -> crate::Result<Vec<String>>,
}

impl ServiceHooks<'_> {
    fn done(report: super::Report) -> crate::Result<()> {
        let Some(problem) = report.tools.into_iter().find_map(|tool| tool.problem) else {
            return Ok(());
        };
        let (exit, hints) = (problem.exit_code(), problem.hints);
        Err(ToolsError::Other { code: "tool.service", exit, message: problem.detail, hints })
    }
}

impl Hooks for ServiceHooks<'_> {
    fn configure(&self, slug: &Slug) -> crate::Result<Vec<String>> {
        (self.configure)(slug)
    }

    fn install(&self, slug: &Slug) -> crate::Result<()> {
        hook(self.home, slug, Verb::Install, self.manner)?;
        Ok(())
    }

    /// Nothing of its service is left afterwards: not its start at login, and no process.
    fn uninstall(&self, slug: &Slug) -> crate::Result<()> {
        hook(self.home, slug, Verb::Uninstall, self.manner)?;
        super::unregister(slug, self.manner)?;
        end_all(self.home, slug)?;
        Ok(())
    }

    fn is_running(&self, slug: &Slug) -> bool {
        runs(self.home, slug, self.manner).unwrap_or(false)
    }

    fn stop(&self, slug: &Slug) -> crate::Result<()> {
        let slugs = std::slice::from_ref(slug);
        Self::done(super::stop(self.home, slugs, &[], self.manner)?)
    }

    fn start(&self, slug: &Slug) -> crate::Result<()> {
        let slugs = std::slice::from_ref(slug);
        Self::done(super::start(self.home, slugs, self.manner)?)
    }

    fn health(&self, slug: &Slug) -> crate::Result<()> {
        let ready = Ready::new(self.home, Tool::load(self.home, slug)?, self.manner)?;
        super::operate::wait_until_well(self.home, &ready, self.manner)?;
        Ok(())
    }

    fn unplug(&self, slug: &Slug) -> crate::Result<Vec<String>> {
        (self.unplug)(slug)
    }
}
