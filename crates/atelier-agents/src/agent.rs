//! An agent: what it is called, whether it is here, what it can do, where its files are.
//!
//! The facts are rows of `table.rs`; nothing here knows one agent from another.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{AgentError, Result};
use crate::places::Places;
use crate::shape::Shape;
use crate::table::{ROWS, Row};

/// A coding agent or an editor that servers and skills are wired into.
#[derive(Clone, Copy)]
pub struct Agent(&'static Row);

/// For whom something is wired.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The user, in every project.
    User,
    /// Everybody who works in the project, through a file in its folder.
    Project,
}

/// What an agent can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Can {
    /// It reads servers from a file in the project.
    pub project_servers: bool,
    /// It speaks streamable HTTP.
    pub http: bool,
    /// It speaks HTTP with server-sent events.
    pub sse: bool,
    /// Its entries have a timeout.
    pub timeout: bool,
    /// What the user has to know or to do besides; empty when nothing.
    pub note: &'static str,
}

/// Whether an agent is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Probe {
    /// It seems to be: its program or its folder is.
    pub installed: bool,
    /// Its program on `PATH`.
    pub program: Option<PathBuf>,
    /// Its folder, whether it exists or not.
    pub folder: PathBuf,
    /// The same in words, with what is missing.
    pub says: String,
}

impl Agent {
    /// All of them, in the order in which they are shown.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(Self)
    }

    /// The one of that name.
    ///
    /// # Errors
    /// [`AgentError::Unknown`].
    pub fn find(name: &str) -> Result<Self> {
        Self::all()
            .find(|agent| agent.name() == name)
            .ok_or_else(|| AgentError::Unknown { name: name.to_owned() })
    }

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Its name, as its makers write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// What it can do.
    #[must_use]
    pub fn can(self) -> Can {
        let Shape { http, sse, timeout, .. } = self.0.shape;
        let timeout = timeout.is_some();
        Can { project_servers: self.0.project.is_some(), http, sse, timeout, note: self.0.note }
    }

    /// Looks for it.
    ///
    /// # Errors
    /// [`AgentError::Variable`] when its variable names no folder.
    pub fn probe(self, places: &Places) -> Result<Probe> {
        let folder = self.0.folder.path(places)?;
        let program = self.0.programs.iter().find_map(|name| places.program(name));
        let there = folder.is_dir();
        let names = self.0.programs.join(" or ");
        let says = match (&program, there) {
            (Some(program), _) => format!("{} is {}", self.title(), program.display()),
            (None, true) => {
                format!("there is no {names} on PATH, but {} exists", folder.display())
            }
            (None, false) => {
                format!("there is neither {names} on PATH nor {}", folder.display())
            }
        };
        Ok(Probe { installed: program.is_some() || there, program, folder, says })
    }

    /// The file that its servers stand in.
    ///
    /// # Errors
    /// [`AgentError::NoProjectFile`] where it has none, [`AgentError::NoProject`] where we are in none.
    pub fn file(self, places: &Places, scope: Scope) -> Result<PathBuf> {
        match scope {
            Scope::User => Ok(self.0.user.path(&self.0.file_folder.path(places)?)),
            Scope::Project => {
                let file = self.0.project.as_ref();
                let file = file.ok_or(AgentError::NoProjectFile { agent: self.title() })?;
                Ok(file.path(project(places)?))
            }
        }
    }

    /// The folder that its skills stand in, a folder each.
    ///
    /// # Errors
    /// [`AgentError::NoProject`] where we are in none, [`AgentError::Variable`].
    pub fn skills(self, places: &Places, scope: Scope) -> Result<PathBuf> {
        match scope {
            Scope::User => Ok(self.0.skill_folder.path(places)?.join("skills")),
            Scope::Project => Ok(project(places)?.join(self.0.project_skills)),
        }
    }

    pub(crate) fn row(self) -> &'static Row {
        self.0
    }

    pub(crate) fn shape(self) -> &'static Shape {
        &self.0.shape
    }
}

fn project(places: &Places) -> Result<&Path> {
    places.project().ok_or(AgentError::NoProject)
}

impl PartialEq for Agent {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Agent {}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({})", self.name())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Project => "project",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_own_variables_say_where_its_files_are() {
        let plain = Places::new("/home/me");
        let moved = plain
            .clone()
            .with_variable("CLAUDE_CONFIG_DIR", "/c")
            .with_variable("CODEX_HOME", "/x")
            .with_variable("GEMINI_CLI_HOME", "/g")
            .with_variable("XDG_CONFIG_HOME", "/conf");
        for (name, here, there) in [
            ("claude", "/home/me/.claude.json", "/c/.claude.json"),
            ("codex", "/home/me/.codex/config.toml", "/x/config.toml"),
            ("gemini", "/home/me/.gemini/settings.json", "/g/.gemini/settings.json"),
            (
                "opencode",
                "/home/me/.config/opencode/opencode.jsonc",
                "/conf/opencode/opencode.jsonc",
            ),
            ("vscode", "/home/me/.config/Code/User/mcp.json", "/conf/Code/User/mcp.json"),
            ("zed", "/home/me/.config/zed/settings.json", "/conf/zed/settings.json"),
        ] {
            let agent = Agent::find(name).unwrap();
            assert_eq!(agent.file(&plain, Scope::User).unwrap(), Path::new(here));
            assert_eq!(agent.file(&moved, Scope::User).unwrap(), Path::new(there));
        }
        let skills = Agent::find("claude").unwrap().skills(&moved, Scope::User).unwrap();
        assert_eq!(skills, Path::new("/c/skills"));
    }

    #[test]
    fn a_variable_that_names_no_folder_is_said_and_xdgs_is_ignored() {
        let places = Places::new("/h").with_variable("CODEX_HOME", "here");
        let error = Agent::find("codex").unwrap().file(&places, Scope::User).unwrap_err();
        assert!(error.to_string().contains("CODEX_HOME"), "{error}");
        let places = Places::new("/h").with_variable("XDG_CONFIG_HOME", "here");
        let file = Agent::find("zed").unwrap().file(&places, Scope::User).unwrap();
        assert_eq!(file, Path::new("/h/.config/zed/settings.json"));
    }

    #[test]
    fn an_agent_is_here_when_its_program_or_its_folder_is() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let places = Places::new(folder.path()).with_variable("PATH", bin.to_str().unwrap());
        let codex = Agent::find("codex").unwrap();
        let probe = codex.probe(&places).unwrap();
        assert!(!probe.installed);
        assert!(probe.says.contains("neither codex on PATH nor"), "{}", probe.says);
        std::fs::write(bin.join("codex"), "").unwrap();
        assert!(!codex.probe(&places).unwrap().installed, "not executable");
        std::fs::set_permissions(bin.join("codex"), PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(codex.probe(&places).unwrap().program, Some(bin.join("codex")));
        std::fs::create_dir(folder.path().join(".cursor")).unwrap();
        assert!(Agent::find("cursor").unwrap().probe(&places).unwrap().installed);
    }

    #[test]
    fn a_level_that_an_agent_lacks_is_said() {
        let places = Places::new("/h").with_project("/p");
        let windsurf = Agent::find("windsurf").unwrap();
        assert!(matches!(
            windsurf.file(&places, Scope::Project),
            Err(AgentError::NoProjectFile { .. })
        ));
        let error = Agent::find("claude").unwrap().file(&Places::new("/h"), Scope::Project);
        assert!(matches!(error, Err(AgentError::NoProject)));
    }
}
