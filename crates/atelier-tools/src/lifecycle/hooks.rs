//! What adding, removing and upgrading tools ask of their life: commands of the plugin, whether it runs,
//! whether it is well, and that nothing is left.

use super::defaults::{self, Verb};
use super::error::{Error, Result};
use super::operate::asker;
use super::process;
use super::ready::Ready;
use super::state::{Seen, State};
use super::tool::{Kind, Manner, Tool};
use crate::{Home, Slug};

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
