//! Machines that SSH reaches and that Atelier runs on as well.
//!
//! What lives here: the hosts that the user named, the connection through the system's own `ssh` (so
//! that its configuration, agents, jump hosts and known hosts count), putting our program there, streams
//! to it, and the mirror of a project over there. What is asked over a stream is the callers' business.
//! No terminal, no rule of any part.

mod docker;
mod error;
mod hosts;
mod install;
mod mirror;
mod probe;
mod quote;
mod relay;
mod ssh;

use std::path::{Path, PathBuf};

use atelier_config::Home;

pub use error::FarError;
pub use hosts::{Host, Hosts};
pub use mirror::{Project, Sent};
pub use probe::Facts;
pub use relay::Relay;
pub use ssh::{Manner, Ssh};

use crate::error::Result;

/// A host with our program on it, and a connection that later ones share.
#[derive(Debug)]
pub struct Far {
    /// The connection.
    pub ssh: Ssh,
    /// What the host says of itself.
    pub facts: Facts,
    /// This machine's name for itself, which keeps its mirrors apart from those of others.
    id: String,
    /// Our program there.
    program: String,
}

impl Far {
    /// Connects, and puts the program at `program` there unless this very build is there already.
    ///
    /// # Errors
    /// [`FarError`]: the host cannot be reached, is another one than before, refuses the key, or has
    /// another kind of processor.
    pub fn open(
        host: Host,
        home: &Home,
        build: &str,
        program: &Path,
        manner: Manner,
    ) -> Result<Self> {
        let ssh = Ssh::open(host, home, manner)?;
        let facts = Facts::ask(&ssh, build)?;
        if !facts.installed {
            install::install(&ssh, &facts, program)?;
        }
        let id = hosts::own_id(home)?;
        Ok(Self { program: facts.program.clone(), ssh, facts, id })
    }

    /// A socket on this machine behind which the host's control plane answers, as long as the value
    /// lives.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn relay(&self, home: &Home) -> Result<Relay> {
        Relay::open(&self.ssh, &self.command(&["dial", "control"]), home)
    }

    /// A command line for the host's shell: our program with these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> String {
        let words = std::iter::once(self.program.as_str()).chain(arguments.iter().copied());
        let line: Vec<_> = words.map(quote::shell).collect();
        format!("ATELIER_HOME={} exec {}", quote::shell(&self.facts.home), line.join(" "))
    }

    /// Makes commits in a repository there those of whom git here takes for the user of `here`. Where
    /// git here does not know, the host's own settings hold.
    ///
    /// # Errors
    /// Those of a connection.
    pub fn commit_as(&self, here: &Path, there: &Path) -> Result<()> {
        let there = quote::shell(&there.to_string_lossy());
        let set = |key| {
            let value = ssh::git_setting(here, key)?;
            Some(format!("git -C {there} config {key} {}; ", quote::shell(&value)))
        };
        let script: String = ["user.name", "user.email"].into_iter().filter_map(set).collect();
        if !script.is_empty() {
            self.ssh.run(&script, std::process::Stdio::null())?;
        }
        Ok(())
    }

    /// Takes a branch of a repository there into one here, by git itself.
    ///
    /// # Errors
    /// [`FarError::There`] with what git said.
    pub fn fetch_branch(&self, from: &Path, into: &Path, branch: &str) -> Result<()> {
        let said = self.ssh.git_fetch(from, into, branch)?;
        said.map_err(|said| FarError::there(&self.ssh.host().name, "fetching the branch", &said))
    }

    /// Where the mirror of a project of this machine lies there.
    #[must_use]
    pub fn mirror(&self, project: &Path) -> PathBuf {
        mirror::place(&self.facts.home, &self.id, project)
    }
}
