//! A project, a home, environments in it, and commands run in an environment's mounted view.

use std::path::{Path, PathBuf};
use std::process::Command;

use atelier_config::Home;
use atelier_environment::{
    Diff, DiffOptions, LayerMode, Mode, Project, Recipe, Source, Workspace, create_workspace, diff,
};
use tempfile::TempDir;

/// The shell words that print everything of a tree that must come along.
const LISTING: &str = r"
    find . \( -type f -printf '%P %y %m %s %T@ %U:%G\n' \) -o \( ! -type f -printf '%P %y %m %T@ %U:%G %l\n' \) | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum";

pub struct World {
    pub tmp: TempDir,
    pub root: PathBuf,
    pub home: Home,
}

impl World {
    /// A plain folder as a project.
    pub fn plain() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap().join("project");
        std::fs::create_dir(&root).unwrap();
        let home = Home::at(tmp.path().canonicalize().unwrap().join("home"));
        Self { tmp, root, home }
    }

    /// A git work tree with one commit of the given files.
    pub fn git(files: &[(&str, &str)]) -> Self {
        let world = Self::plain();
        world.sh(
            "git init -q -b main; git config user.name Ada; git config user.email ada@example.com",
        );
        for (path, text) in files {
            world.write(path, text);
        }
        world.sh("git add -A; git commit -q --allow-empty -m first");
        world
    }

    pub fn project(&self) -> Project {
        Project::discover(&self.root, None).unwrap()
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// A shell script in the project.
    pub fn sh(&self, script: &str) -> String {
        sh(&self.root, script)
    }

    pub fn layer_dir(&self, name: &str) -> PathBuf {
        self.home.environments().join(name)
    }

    pub fn try_create(
        &self,
        name: &str,
        source: &Source,
        mode: LayerMode,
    ) -> atelier_environment::Result<Workspace> {
        let recipe = Recipe { source: source.clone(), ..Recipe::default() };
        create_workspace(&self.project(), &self.home, &self.layer_dir(name), &recipe, mode)
    }

    pub fn create(&self, name: &str) -> Workspace {
        self.try_create(name, &Source::WorkingTree, LayerMode::Overlay).unwrap()
    }

    pub fn diff(&self, workspace: &Workspace) -> Diff {
        diff(workspace, &self.project(), DiffOptions::default()).unwrap()
    }

    /// Everything in the project that must come along.
    pub fn listing(&self) -> String {
        let mut command = unshare();
        finish(command.args(["sh", "-ec", LISTING]).current_dir(&self.root), LISTING)
    }

    /// The same as the environment sees it.
    pub fn view(&self, workspace: &Workspace) -> String {
        inside(workspace, LISTING)
    }
}

pub fn sh(dir: &Path, script: &str) -> String {
    finish(Command::new("sh").arg("-ec").arg(script).current_dir(dir), script)
}

fn finish(command: &mut Command, script: &str) -> String {
    command.env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A command in a mount namespace of its own; without root, in a user namespace too.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "--propagation", "private"]);
    command
}

/// Runs a shell script in the environment: its layers mounted as the kernel merges them.
pub fn inside(workspace: &Workspace, script: &str) -> String {
    let (upper, work) = match &workspace.mode {
        Mode::Overlay { upper, work } => (upper, work),
        Mode::Copy { tree, .. } => return sh(tree, script),
    };
    let lowers: Vec<_> = workspace.lowers.iter().map(|l| l.to_str().unwrap()).collect();
    let options = format!(
        "userxattr,lowerdir={},upperdir={},workdir={}",
        lowers.join(":"),
        upper.display(),
        work.display()
    );
    let target = tempfile::tempdir().unwrap();
    let whole =
        format!("mount -t overlay overlay -o \"$OPTIONS\" \"$TARGET\"; cd \"$TARGET\"; {script}");
    let mut command = unshare();
    command.args(["sh", "-ec", &whole]);
    finish(command.env("OPTIONS", options).env("TARGET", target.path()), script)
}

/// The diff as text.
pub fn text(diff: &Diff) -> String {
    let mut bytes = Vec::new();
    diff.write_unified(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
