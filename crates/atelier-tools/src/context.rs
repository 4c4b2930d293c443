//! What a verb needs from whoever calls it: whom to tell, whom to ask, what runs plugins' own commands. No terminal.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::process::Cancel;
use crate::{Result, Slug, ToolsError};

/// What a verb is doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// A stable word: `fetching`, `locking`, `installing`, `placing`, `hooks`, `committing`, ...
    pub phase: &'static str,
    /// For people.
    pub text: &'a str,
}

/// What a person is asked to agree to: all that will run on this machine, and what is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The tool.
    pub slug: String,
    /// `add`, `upgrade`, `remove`, `import`.
    pub action: String,
    /// Where it comes from, with the commit or the version.
    pub source: String,
    /// What it says of itself.
    pub description: String,
    /// How far its authors vouch for it.
    pub maturity: String,
    /// Commands that run on this machine: `install: sh install.sh`.
    pub runs: Vec<String>,
    /// Packages that it brings, pinned.
    pub packages: Vec<String>,
    /// What can't be pinned, and why.
    pub unpinned: Vec<String>,
    /// Settings that it needs.
    pub needs: Vec<String>,
    /// Ports that it listens on.
    pub ports: Vec<u16>,
    /// Files that an upgrade changes, or a removal deletes.
    pub files: Vec<String>,
    /// What else should be known.
    pub notes: Vec<String>,
}

/// Who agrees.
pub trait Ask {
    /// Whether what is planned may be done.
    ///
    /// # Errors
    /// When nobody can be asked.
    fn agree(&self, plan: &Plan) -> Result<bool>;
}

/// Agrees to everything (`--yes`), or to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Always(pub bool);

impl Ask for Always {
    fn agree(&self, _: &Plan) -> Result<bool> {
        Ok(self.0)
    }
}

/// A plugin's own commands, and what others wrote about it.
pub trait Hooks {
    /// Sees that its required settings have values, asking where somebody can be asked; gives the names of those that
    /// still have none. With any, its `install` is not run.
    ///
    /// # Errors
    /// When settings can't be read or kept.
    fn configure(&self, slug: &Slug) -> Result<Vec<String>>;
    /// Runs its `install`.
    ///
    /// # Errors
    /// When it fails.
    fn install(&self, slug: &Slug) -> Result<()>;
    /// Runs its `uninstall`.
    ///
    /// # Errors
    /// When it fails.
    fn uninstall(&self, slug: &Slug) -> Result<()>;
    /// Whether its service runs.
    fn is_running(&self, slug: &Slug) -> bool;
    /// Stops its service; nothing when it does not run.
    ///
    /// # Errors
    /// When it goes on running.
    fn stop(&self, slug: &Slug) -> Result<()>;
    /// Starts its service.
    ///
    /// # Errors
    /// When it does not start.
    fn start(&self, slug: &Slug) -> Result<()>;
    /// Waits until it is healthy; right away when it says nothing about health.
    ///
    /// # Errors
    /// When it does not get there.
    fn health(&self, slug: &Slug) -> Result<()>;
    /// Takes it out of all agents; gives the names of those it was in.
    ///
    /// # Errors
    /// When an agent's file can't be changed.
    fn unplug(&self, slug: &Slug) -> Result<Vec<String>>;
}

/// Runs nothing: for homes that are looked at, and tools without commands.
#[derive(Debug, Clone, Copy)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn configure(&self, _: &Slug) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn install(&self, _: &Slug) -> Result<()> {
        Ok(())
    }
    fn uninstall(&self, _: &Slug) -> Result<()> {
        Ok(())
    }
    fn is_running(&self, _: &Slug) -> bool {
        false
    }
    fn stop(&self, _: &Slug) -> Result<()> {
        Ok(())
    }
    fn start(&self, _: &Slug) -> Result<()> {
        Ok(())
    }
    fn health(&self, _: &Slug) -> Result<()> {
        Ok(())
    }
    fn unplug(&self, _: &Slug) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// What a source may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long one program (git, npm, pip) may take.
    pub time: Duration,
    /// How large a plugin may be, in bytes; a repository's history may be five times as large.
    pub bytes: u64,
    /// How many files a plugin may have.
    pub files: usize,
    /// How long to wait for another process that changes the home.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (time, wait) = (Duration::from_secs(300), Duration::from_secs(3));
        Self { time, bytes: 100 << 20, files: 5000, wait }
    }
}

/// Whom a verb tells, asks and calls.
#[derive(Clone)]
pub struct Context<'a> {
    /// Told what happens.
    pub progress: &'a dyn Fn(Progress<'_>),
    /// Asked before anything of a plugin runs here.
    pub ask: &'a dyn Ask,
    /// Runs plugins' commands.
    pub hooks: &'a dyn Hooks,
    /// Set at Ctrl-C.
    pub cancel: Cancel,
    /// What a source may cost.
    pub limits: Limits,
}

impl Context<'_> {
    /// Tells what happens now; the point where an interrupted verb turns back.
    pub(crate) fn at(&self, phase: &'static str, text: &str) -> Result<()> {
        self.tell(phase, text);
        match self.cancel.is_cancelled() {
            true => Err(ToolsError::Cancelled),
            false => Ok(()),
        }
    }

    pub(crate) fn tell(&self, phase: &'static str, text: &str) {
        (self.progress)(Progress { phase, text });
    }

    pub(crate) fn agree(&self, plan: &Plan) -> Result<()> {
        self.at("asking", &plan.slug)?;
        match self.ask.agree(plan)? {
            true => Ok(()),
            false => Err(ToolsError::Declined(format!("{} {}", plan.action, plan.slug))),
        }
    }
}
