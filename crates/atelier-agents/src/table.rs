//! The agents, a row each: the one place to look when an agent moves a file, and to add an agent.
//!
//! Where the facts come from: for Claude Code, Codex, Gemini CLI, Auggie and OpenCode from what their
//! own commands write and read (`tests/real`, run against pinned versions); for the editors from their
//! documentation (cursor.com/docs, code.visualstudio.com/docs, zed.dev/docs, docs.windsurf.com).

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::places::Places;
use crate::shape::Shape;

/// One agent.
#[derive(Debug)]
pub(crate) struct Row {
    pub name: &'static str,
    pub title: &'static str,
    /// Its programs, any of which shows that it is here.
    pub programs: &'static [&'static str],
    /// The folder that shows that it is here.
    pub folder: Folder,
    /// The folder of its file.
    pub file_folder: Folder,
    /// Its file with servers, in `file_folder`.
    pub user: File,
    /// The same in a project's folder.
    pub project: Option<File>,
    pub format: Format,
    /// The key under which the servers stand.
    pub key: &'static str,
    pub shape: Shape,
    /// The folder that `skills` is in.
    pub skill_folder: Folder,
    /// The folder with skills in a project's folder.
    pub project_skills: &'static str,
    /// Its file is guarded by a folder of that name and `.lock` beside it.
    pub locks: bool,
    /// What the user has to know besides.
    pub note: &'static str,
}

/// A folder: where a variable says, or else in the home.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folder {
    /// The variable, and where below it.
    pub variable: Option<(&'static str, &'static str)>,
    /// Where below the home.
    pub home: &'static str,
}

impl Folder {
    pub fn path(&self, places: &Places) -> Result<PathBuf> {
        if let Some((variable, below)) = self.variable
            && let Some(folder) = places.folder(variable)?
        {
            return Ok(if below.is_empty() { folder } else { folder.join(below) });
        }
        Ok(places.home().join(self.home))
    }
}

/// A file by the first of several names that exists.
#[derive(Debug)]
pub(crate) struct File {
    pub names: &'static [&'static str],
    /// What it is called when it is made.
    pub fresh: &'static str,
}

impl File {
    pub fn path(&self, folder: &Path) -> PathBuf {
        let existing = self.names.iter().map(|name| folder.join(name)).find(|p| p.exists());
        existing.unwrap_or_else(|| folder.join(self.fresh))
    }
}

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, with comments where the user wrote some. The text that a new file begins from.
    Json(&'static str),
    /// TOML.
    Toml,
}

const JSON: Format = Format::Json("{}");

const fn home(home: &'static str) -> Folder {
    Folder { variable: None, home }
}

const fn one(name: &'static str) -> File {
    File { names: &[], fresh: name }
}

const CLAUDE: Folder = Folder { variable: Some(("CLAUDE_CONFIG_DIR", "")), home: ".claude" };
const CODEX: Folder = Folder { variable: Some(("CODEX_HOME", "")), home: ".codex" };
const GEMINI: Folder = Folder { variable: Some(("GEMINI_CLI_HOME", ".gemini")), home: ".gemini" };
const OPENCODE: Folder =
    Folder { variable: Some(("XDG_CONFIG_HOME", "opencode")), home: ".config/opencode" };
const CODE: Folder = Folder { variable: Some(("XDG_CONFIG_HOME", "Code")), home: ".config/Code" };
const ZED: Folder = Folder { variable: Some(("XDG_CONFIG_HOME", "zed")), home: ".config/zed" };
const WINDSURF: Folder = home(".codeium/windsurf");

const TYPED: Shape = Shape { types: ["stdio", "http", "sse"], ..Shape::PLAIN };

/// All of them.
pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "claude",
        title: "Claude Code",
        programs: &["claude"],
        folder: CLAUDE,
        // Beside the folder in the home, but inside of the folder that the variable names.
        file_folder: Folder { home: "", ..CLAUDE },
        user: one(".claude.json"),
        project: Some(one(".mcp.json")),
        format: JSON,
        key: "mcpServers",
        shape: Shape { empty_env: true, timeout: Some(("timeout", 1)), ..TYPED },
        skill_folder: CLAUDE,
        project_skills: ".claude/skills",
        locks: true,
        note: "it asks before it starts the servers of a project for the first time",
    },
    Row {
        name: "codex",
        title: "Codex",
        programs: &["codex"],
        folder: CODEX,
        file_folder: CODEX,
        user: one("config.toml"),
        project: Some(one(".codex/config.toml")),
        format: Format::Toml,
        key: "mcp_servers",
        shape: Shape {
            empty_args: false,
            headers: "http_headers",
            timeout: Some(("tool_timeout_sec", 1000)),
            sse: false,
            ..Shape::PLAIN
        },
        skill_folder: CODEX,
        project_skills: ".codex/skills",
        locks: false,
        note: "it reads a project's servers once the project is trusted",
    },
    Row {
        name: "gemini",
        title: "Gemini CLI",
        programs: &["gemini"],
        folder: GEMINI,
        file_folder: GEMINI,
        user: one("settings.json"),
        project: Some(one(".gemini/settings.json")),
        format: JSON,
        key: "mcpServers",
        shape: Shape {
            types: ["", "http", "sse"],
            url_first: true,
            timeout: Some(("timeout", 1)),
            ..Shape::PLAIN
        },
        skill_folder: GEMINI,
        project_skills: ".gemini/skills",
        locks: false,
        note: "it starts no server in a folder that is not trusted, the user's own ones neither",
    },
    Row {
        name: "auggie",
        title: "Auggie",
        programs: &["auggie"],
        folder: home(".augment"),
        file_folder: home(".augment"),
        user: one("settings.json"),
        project: Some(one(".augment/settings.json")),
        format: JSON,
        key: "mcpServers",
        shape: Shape { empty_args: false, empty_env: true, ..TYPED },
        skill_folder: home(".augment"),
        project_skills: ".augment/skills",
        locks: false,
        note: "",
    },
    Row {
        name: "opencode",
        title: "OpenCode",
        programs: &["opencode"],
        folder: OPENCODE,
        file_folder: OPENCODE,
        user: File { names: &["opencode.json", "opencode.jsonc"], fresh: "opencode.jsonc" },
        project: Some(File {
            names: &[
                "opencode.json",
                "opencode.jsonc",
                ".opencode/opencode.json",
                ".opencode/opencode.jsonc",
            ],
            fresh: "opencode.json",
        }),
        format: Format::Json("{\n  \"$schema\": \"https://opencode.ai/config.json\"\n}"),
        key: "mcp",
        shape: Shape {
            types: ["local", "remote", "remote"],
            joined: true,
            env: "environment",
            timeout: Some(("timeout", 1)),
            ..Shape::PLAIN
        },
        skill_folder: OPENCODE,
        project_skills: ".opencode/skills",
        locks: false,
        note: "a file that OPENCODE_CONFIG names is read after this one, and wins",
    },
    Row {
        name: "cursor",
        title: "Cursor",
        programs: &["cursor", "cursor-agent"],
        folder: home(".cursor"),
        file_folder: home(".cursor"),
        user: one("mcp.json"),
        project: Some(one(".cursor/mcp.json")),
        format: JSON,
        key: "mcpServers",
        shape: Shape::PLAIN,
        skill_folder: home(".cursor"),
        project_skills: ".cursor/skills",
        locks: false,
        note: "a new server is to be switched on once in its settings",
    },
    Row {
        name: "vscode",
        title: "Visual Studio Code",
        programs: &["code", "code-insiders"],
        folder: CODE,
        file_folder: CODE,
        user: one("User/mcp.json"),
        project: Some(one(".vscode/mcp.json")),
        format: JSON,
        key: "servers",
        shape: TYPED,
        // What Copilot, which runs the agent there, reads in every editor.
        skill_folder: home(".copilot"),
        project_skills: ".github/skills",
        locks: false,
        note: "it asks whether a new server is trusted; other profiles than the default one have files of their own",
    },
    Row {
        name: "zed",
        title: "Zed",
        programs: &["zed", "zeditor"],
        folder: ZED,
        file_folder: ZED,
        user: one("settings.json"),
        project: Some(one(".zed/settings.json")),
        format: JSON,
        key: "context_servers",
        shape: Shape { constant: Some(("source", "custom")), sse: false, ..Shape::PLAIN },
        skill_folder: home(".agents"),
        project_skills: ".agents/skills",
        locks: false,
        note: "Codex, Gemini CLI, Auggie and OpenCode read the folder of its skills too",
    },
    Row {
        name: "windsurf",
        title: "Windsurf",
        programs: &["windsurf"],
        folder: WINDSURF,
        file_folder: WINDSURF,
        user: one("mcp_config.json"),
        project: None,
        format: JSON,
        key: "mcpServers",
        shape: Shape { url: "serverUrl", ..Shape::PLAIN },
        skill_folder: WINDSURF,
        project_skills: ".windsurf/skills",
        locks: false,
        note: "its list of servers is to be refreshed in its settings",
    },
];
