//! `atelier tool` and `atelier mcp`.

mod atk;
mod images;
mod mcp;
mod postgres;
mod registry;
mod remotes;
mod sandbox;
mod search;
mod services;
mod uv;
mod walk;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Lab;

/// A lab whose user has a home of tools, with a registry of the test's own.
struct Shed {
    lab: Lab,
    registry: PathBuf,
}

impl Shed {
    fn new() -> Self {
        let lab = Lab::bare("work");
        let registry = lab.user_home().join("registry");
        fs::create_dir_all(&registry).unwrap();
        let shed = Self { lab, registry };
        shed.git(&["init", "-q", "-b", "main"]);
        shed
    }

    /// Runs git in the registry.
    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.registry).args([
            "-c",
            "user.name=r",
            "-c",
            "user.email=r@example.org",
        ]);
        let done = git.args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Writes a plugin's files into the registry, and its index anew; one commit.
    fn publish(&self, name: &str, files: &[(&str, &str)]) {
        let folder = self.registry.join("plugins").join(name);
        for (path, text) in files {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            let mode = if path.ends_with(".sh") { 0o755 } else { 0o644 };
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        self.index();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", name]);
    }

    fn index(&self) {
        let mut text = "schema_version: '2026-01-23'\nplugins:\n".to_owned();
        for entry in fs::read_dir(self.registry.join("plugins")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            text.push_str(&format!(
                "- {{name: {name}, path: plugins/{name}, description: of {name}}}\n"
            ));
        }
        fs::write(self.registry.join("index.yaml"), text).unwrap();
    }

    /// Makes the home, with the registry as its only one.
    fn init(&self) {
        let url = format!("file://{}", self.registry.display());
        self.ok(&["init", "--registry", &url]);
    }

    fn ok(&self, args: &[&str]) -> String {
        self.lab.ok(&[&["tool"], args].concat())
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        self.lab.json(&[&["tool"], args].concat())
    }

    fn fails(&self, args: &[&str], code: i32, says: &[&str]) {
        self.lab.run(&[&["tool"], args].concat()).fails(code, says);
    }

    fn tools(&self) -> PathBuf {
        self.lab.home().join("tools")
    }

    fn commits(&self) -> Vec<String> {
        self.ok(&["git", "log", "--format=%s"]).lines().map(str::to_owned).collect()
    }
}

/// A plugin with an MCP server that speaks the protocol's first words: `server.py`.
const SPEAKER: [(&str, &str); 3] = [
    (
        "plugin.yaml",
        "schema_version: '2026-08-20'\nname: Speaker One\ndescription: says who it is\nmaturity: verified\n\
         env_vars:\n  - {name: API_KEY, required: true, secret: true}\n  - {name: API_KEY_ID, default: id-1}\n\
         mcp: {transport: stdio, command: python3, args: [$ATK_PLUGIN_DIR/server.py, '$API_KEY_ID'], env: [API_KEY, API_KEY_ID]}\n",
    ),
    ("server.py", include_str!("server.py")),
    ("SKILL.md", "# How to speak\n\nSay it twice.\n"),
];

fn all_text_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text.push_str(&all_text_below(&path));
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
        }
    }
    text
}
