//! Homes, registries and repositories for tests, all of them real ones in a folder of their own.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use atelier_tools::verbs::{self, AddOptions, Added};
use atelier_tools::{Always, Context, Home, Hooks, Limits, Progress, Result, Slug, ToolsError};

pub struct World {
    pub folder: tempfile::TempDir,
    pub home: Home,
    pub registry: PathBuf,
}

/// Runs a plugin's commands as they are, with `sh`.
pub struct Shell<'a>(pub &'a Home);

impl Shell<'_> {
    fn run(
        &self,
        slug: &Slug,
        hook: &str,
        line: impl Fn(&atelier_plugin::Plugin) -> Option<String>,
    ) -> Result<()> {
        let folder = self.0.plugin(slug);
        let Some(line) = line(&atelier_plugin::Plugin::load(&folder)?) else { return Ok(()) };
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder).output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(ToolsError::Hook {
                slug: slug.to_string(),
                hook: hook.into(),
                why: String::from_utf8_lossy(&output.stderr).into(),
            }),
        }
    }
}

impl Hooks for Shell<'_> {
    /// A plugin that requires `MISSING` never gets it; one that requires `ASKED` gets it as if somebody had typed it.
    fn configure(&self, slug: &Slug) -> Result<Vec<String>> {
        let plugin = atelier_plugin::Plugin::load(&self.0.plugin(slug))?;
        if plugin.variable("ASKED").is_some() {
            write(&self.0.values_file(slug), "ASKED: \"typed\"\n");
        }
        Ok(plugin.variable("MISSING").map(|v| v.name.clone()).into_iter().collect())
    }
    fn install(&self, slug: &Slug) -> Result<()> {
        self.run(slug, "install", |p| p.lifecycle.install.clone())
    }
    fn uninstall(&self, slug: &Slug) -> Result<()> {
        self.run(slug, "uninstall", |p| p.lifecycle.uninstall.clone())
    }
    fn is_running(&self, slug: &Slug) -> bool {
        self.0.plugin(slug).join("running").exists()
    }
    fn stop(&self, slug: &Slug) -> Result<()> {
        self.run(slug, "stop", |p| p.lifecycle.stop.clone())
    }
    fn start(&self, slug: &Slug) -> Result<()> {
        self.run(slug, "start", |p| p.lifecycle.start.clone())
    }
    fn health(&self, slug: &Slug) -> Result<()> {
        self.run(slug, "health", |p| p.lifecycle.status.clone())
    }
    fn unplug(&self, _: &Slug) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

pub const QUIET: &dyn Fn(Progress<'_>) = &|_| {};

pub fn context<'a>(hooks: &'a dyn Hooks, progress: &'a dyn Fn(Progress<'_>)) -> Context<'a> {
    let limits = Limits {
        time: Duration::from_secs(240),
        wait: Duration::from_millis(200),
        ..Limits::default()
    };
    Context {
        progress,
        ask: &Always(true),
        hooks,
        cancel: atelier_tools::Cancel::default(),
        limits,
    }
}

pub fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A plugin of one script.
pub fn plugin(folder: &Path, name: &str, extra: &str) {
    let text = format!("schema_version: atelier/1\nname: {name}\ndescription: a test\n{extra}");
    write(&folder.join("plugin.yaml"), &text);
    write(&folder.join("mcp.sh"), "#!/bin/sh\nexec cat\n");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.join("mcp.sh"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
}

pub const HOOKS: &str = "lifecycle:\n  install: echo installed >> data.log\n  uninstall: rm -f data.log\n  start: touch running\n  stop: rm -f running\nservice: {type: script}\n";

impl World {
    /// A home, and a registry with `echo` (no commands) and `service` (all of them).
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("registry");
        plugin(
            &registry.join("plugins/echo"),
            "Echo",
            "mcp: {transport: stdio, command: sh, args: [mcp.sh]}\n",
        );
        plugin(&registry.join("plugins/service"), "Service", HOOKS);
        let index = "schema_version: '2026-01-23'\nplugins:\n- {name: echo, path: plugins/echo, description: says what it hears}\n- {name: service, path: plugins/service, description: runs}\n";
        write(&registry.join("index.yaml"), index);
        git(&registry, &["init", "-q", "-b", "main"]);
        commit(&registry, "first");
        let home = Home::below(folder.path().join("atelier"));
        let world = Self { folder, home, registry };
        verbs::init(&world.home, Some(&world.url()), &context(&Shell(&world.home), QUIET)).unwrap();
        world
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.registry.display())
    }

    pub fn options(&self, what: &str) -> AddOptions {
        AddOptions {
            what: what.into(),
            folder: self.folder.path().into(),
            slug: None,
            scripts: false,
        }
    }

    pub fn add(&self, what: &str) -> Result<Added> {
        verbs::add(&self.home, &self.options(what), &context(&Shell(&self.home), QUIET))
    }

    /// Everything but what is this machine's, and the journal.
    pub fn snapshot(&self) -> Vec<(String, Vec<u8>)> {
        snapshot(self.home.root())
    }

    pub fn log(&self) -> Vec<String> {
        git(self.home.root(), &["log", "--format=%s"]).lines().map(str::to_owned).collect()
    }

    /// Nothing is under way, and git has nothing to say.
    pub fn assert_clean(&self) {
        for folder in [self.home.journal(), self.home.staging()] {
            let left: Vec<_> = std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path())
                .collect();
            assert!(left.is_empty(), "{left:?}");
        }
        assert_eq!(git(self.home.root(), &["status", "--porcelain"]), "");
    }
}

pub fn snapshot(root: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(root: &Path, folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if name == ".git" || name == ".local" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(root, &path, out);
            } else {
                let relative = path.strip_prefix(root).unwrap().display().to_string();
                out.push((relative, std::fs::read(&path).unwrap_or_default()));
            }
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out.sort();
    out
}

pub fn commit(repository: &Path, message: &str) -> String {
    git(repository, &["add", "-A"]);
    git(repository, &["commit", "-q", "-m", message]);
    git(repository, &["rev-parse", "HEAD"])
}
