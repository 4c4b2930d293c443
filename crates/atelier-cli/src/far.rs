//! Commands for a far host: the same calls over a connection through SSH, with the folders that stand
//! for this machine's there.

use std::collections::BTreeMap;
use std::env;
use std::io::IsTerminal;
use std::path::Path;

use atelier_api::far::{FarLink, FarLinkInput, FarService};
use atelier_api::{ExitCode, Fault, HostPath, Name, Problem};
use atelier_client::{Client, ControlPlane, Endpoint};
use atelier_config::env_vars;
use atelier_far::{Far, FarError, Hosts, Manner, Relay, Sent};

use crate::cli::Command;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{count, note};
use crate::spawn;
use crate::variables::inherited;

/// What of this machine's shell means the same on another machine.
const ANYWHERE: [&str; 6] = ["TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "NO_COLOR"];

/// A far host, and this machine's socket for it.
#[derive(Debug)]
pub(crate) struct Connected {
    pub far: Far,
    relay: Relay,
}

/// The host that a command is for: the flag's, or that of `ATELIER_ON`.
pub(crate) fn machine(flag: Option<String>, command: &Command) -> Result<Option<String>, Failure> {
    if !command.is_local() {
        let named = env::var(env_vars::ON).ok();
        return Ok(flag.or(named).filter(|name| !name.is_empty()));
    }
    match flag {
        Some(_) => Err(Failure::usage("this command is about this machine: it takes no --on")),
        None => Ok(None),
    }
}

/// How hosts are asked: only in a terminal is there somebody to ask.
pub(crate) fn manner() -> Manner {
    match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        true => Manner::Asks,
        false => Manner::Silent,
    }
}

impl Context<'_> {
    /// The far host that this command is for, connected to.
    pub(crate) fn far(&self) -> Result<Option<&Connected>, Failure> {
        let Some(name) = &self.on else { return Ok(None) };
        if let Some(connected) = self.connected.get() {
            return Ok(Some(connected));
        }
        let home = self.home()?;
        home.prepare()?;
        let host = Hosts::named(&home, name)?;
        let far = Far::open(host, &home, self.hooks.build(), &spawn::program(), manner())?;
        let relay = far.relay(&home)?;
        Ok(Some(self.connected.get_or_init(|| Connected { far, relay })))
    }

    /// The far host's control plane.
    pub(crate) fn far_control_plane(&self) -> Result<Option<ControlPlane<'static>>, Failure> {
        let Some(connected) = self.far()? else { return Ok(None) };
        let endpoint = Endpoint::Unix(connected.relay.path().to_owned());
        Ok(Some(ControlPlane::far(Client::new(endpoint, self.hooks.build(), None))))
    }

    /// The folder that stands for one of this machine.
    pub(crate) fn mirrored(&self, here: HostPath) -> Result<HostPath, Failure> {
        let Some(connected) = self.far()? else { return Ok(here) };
        let root = self.hooks.project_root(here.as_path())?;
        let mirror = connected.far.mirror(&root);
        let real = here.as_path().canonicalize().ok();
        let inner = real.as_deref().and_then(|path| path.strip_prefix(&root).ok());
        // An empty rest would put a slash at the end.
        let inner = inner.filter(|inner| !inner.as_os_str().is_empty());
        Ok(HostPath(inner.map_or_else(|| mirror.clone(), |inner| mirror.join(inner))))
    }

    /// The same, after the host got what changed in the project.
    pub(crate) fn sent(&self, here: &Path, verbose: bool) -> Result<HostPath, Failure> {
        if let Some(connected) = self.far()? {
            let project = self.hooks.travelling(here, &self.home()?)?;
            let sent = connected.far.send(&project)?;
            if verbose {
                note(&told(&connected.far.ssh.host().name, sent));
            }
        }
        self.mirrored(HostPath(here.to_owned()))
    }

    /// Has this machine's control plane bring the services of the host here, and lists them.
    pub(crate) fn link(&self) -> Result<Option<Vec<FarService>>, Failure> {
        let Some(connected) = self.far()? else { return Ok(None) };
        let host: Name = connected.far.ssh.host().name.parse()?;
        let plane = self.near(Vec::new())?;
        let linked =
            self.wait(async { Ok(plane.call::<FarLink>(&FarLinkInput { host }).await?) })?;
        Ok(Some(linked.services))
    }

    /// The same for a command that has more to do: it does that also when it fails.
    pub(crate) fn try_link(&self) {
        if let Err(Failure::Problem(problem)) = self.link() {
            note(&format!("the services cannot be reached from this machine: {}", problem.detail));
        }
    }

    /// A lost connection with what ssh said of it.
    pub(crate) fn explained(&self, failure: Failure) -> Failure {
        let Failure::Problem(problem) = failure else { return failure };
        let lost =
            matches!(problem.code.as_str(), "control_plane.lost" | "control_plane.unreachable");
        let Some(connected) = self.connected.get().filter(|_| lost) else { return problem.into() };
        let host = &connected.far.ssh.host().name;
        let said = connected.far.ssh.said();
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let detail = format!("{} (ssh said of {host}: {said})", problem.detail);
        let mut explained = Problem::new("far.lost", ExitCode::Engine, detail);
        explained.hints =
            vec![format!("`atelier host check {host}` looks at the way step by step")];
        explained.into()
    }

    /// What a command inherits from this shell. Paths and names of this machine say nothing on
    /// another one.
    pub(crate) fn inherited(&self, terminal: bool) -> BTreeMap<String, String> {
        let mut variables = inherited(terminal);
        if self.on.is_some() {
            variables
                .retain(|name, _| ANYWHERE.contains(&name.as_str()) || name.starts_with("LC_"));
        }
        variables
    }
}

fn told(host: &str, sent: Sent) -> String {
    let files = count(sent.files, "file");
    match sent.removed {
        0 => format!("sent {files} to {host}"),
        removed => format!("sent {files} to {host}, removed {removed} there"),
    }
}

/// A file of this machine that a far host is asked to read.
pub(crate) fn not_there(host: &str, path: &Path) -> Failure {
    let detail = format!("{} is a file of this machine, and {host} reads its own", path.display());
    Problem::new("far.not_there", ExitCode::Usage, detail)
        .hint("run the command on that machine, or here without --on")
        .into()
}

impl From<FarError> for Failure {
    fn from(error: FarError) -> Self {
        error.problem().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_said_in_words() {
        assert_eq!(told("lab", Sent { files: 1, removed: 0 }), "sent 1 file to lab");
        let both = Sent { files: 2, removed: 3 };
        assert_eq!(told("lab", both), "sent 2 files to lab, removed 3 there");
    }
}
