//! A home of the test's own, with a project in it.

#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use atelier_agents::{Agent, Change, Outcome, Places, Scope, Server, Transport, Wiring};

/// A throw-away home.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub places: Places,
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        fs::create_dir(&project).unwrap();
        let places = Places::new(folder.path()).with_project(project);
        Self { folder, places }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The file that an agent keeps its servers in.
    pub fn file(&self, agent: Agent) -> PathBuf {
        agent.file(&self.places, Scope::User).unwrap()
    }

    pub fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn ledger(&self) -> PathBuf {
        self.path("atelier/ledger.json")
    }

    pub fn backups(&self) -> PathBuf {
        self.path("atelier/backups")
    }

    /// Opened anew, as another run would.
    pub fn wiring(&self) -> Wiring {
        Wiring::open(self.places.clone(), &self.ledger(), &self.backups()).unwrap()
    }

    pub fn plug(&self, agent: Agent, server: &Server) -> Outcome {
        self.try_plug(agent, server, false).unwrap().outcome
    }

    pub fn try_plug(
        &self,
        agent: Agent,
        server: &Server,
        force: bool,
    ) -> Result<Change, atelier_agents::AgentError> {
        self.wiring().plug(agent, Scope::User, server, force)
    }

    pub fn unplug(&self, agent: Agent, name: &str) -> Outcome {
        self.wiring().unplug(agent, Scope::User, name, false).unwrap().outcome
    }
}

pub fn agent(name: &str) -> Agent {
    Agent::find(name).unwrap()
}

/// What a tool is wired as.
pub fn tool(name: &str) -> Server {
    Server::stdio(name, "/usr/bin/atelier", &["tool", "exec", name])
}

/// The same with variables.
pub fn tool_with_env(name: &str) -> Server {
    let mut server = tool(name);
    if let Transport::Stdio { env, .. } = &mut server.transport {
        env.insert("A".into(), "1".into());
        env.insert("B".into(), "two \"words\"".into());
    }
    server
}

/// A server far away, with a header.
pub fn remote(name: &str) -> Server {
    let mut server = Server::http(name, "https://example.com/mcp");
    if let Transport::Http { headers, .. } = &mut server.transport {
        headers.insert("X-Team".into(), "b".into());
    }
    server
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
