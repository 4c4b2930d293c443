//! A sandbox that runs one shell script, started through the `script-sandbox` example.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use atelier_launch::{
    Instance, LaunchError, LaunchSpec, MountSource, Network, Report, RootSource, Started,
    WorkspaceMount,
};
use tempfile::TempDir;

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65534;

/// Who launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Root,
    User,
}

/// Everybody whom this test run can launch as.
pub fn everybody() -> Vec<Who> {
    if nix::unistd::geteuid().is_root() { vec![Who::Root, Who::User] } else { vec![Who::User] }
}

/// Whether tests that need root can run; says so if not.
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// The launcher under test, beside the test binary.
pub fn launcher() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own.parent().and_then(Path::parent).unwrap();
    let path = target.join("examples/script-sandbox");
    assert!(path.exists(), "{} is missing: `cargo build --examples`", path.display());
    path
}

/// One sandbox's world: a home with an ATELIER_HOME in it, and a workspace.
pub struct Scene {
    pub base: TempDir,
    pub spec: LaunchSpec,
    uid: u32,
    gid: u32,
    /// What a shell does before the launcher runs, in a mount namespace of its own.
    pub setup: Option<String>,
}

pub struct Ran {
    pub code: i32,
    pub output: String,
}

impl Scene {
    pub fn new(who: Who) -> Self {
        Self::named(who, "a")
    }

    pub fn named(who: Who, id: &str) -> Self {
        // Not in /tmp or /var/tmp, which a sandbox has of its own.
        let parent = if nix::unistd::geteuid().is_root() {
            PathBuf::from("/srv")
        } else {
            PathBuf::from(std::env::var_os("HOME").unwrap())
        };
        let base = tempfile::Builder::new().prefix("atelier-launch-").tempdir_in(parent).unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(base.path(), open).unwrap();
        let home = base.path().join("home");
        let atelier = home.join(".atelier");
        let dir = atelier.join("sandboxes").join(id);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::create_dir_all(home.join("project")).unwrap();
        std::fs::create_dir_all(atelier.join("workspace")).unwrap();
        let id_of = |root: u32| match who {
            Who::Root => 0,
            Who::User if nix::unistd::geteuid().is_root() => NOBODY,
            Who::User => root,
        };
        let spec = LaunchSpec {
            id: id.to_owned(),
            layers_dir: dir.join("root"),
            dir,
            mounts: vec![WorkspaceMount {
                target: home.join("project"),
                source: MountSource::Bind { source: atelier.join("workspace"), readonly: false },
            }],
            home: atelier,
            hostname: format!("box-{id}"),
            root: RootSource::Machine,
            saving: None,
            id_base: None,
            cgroups: vec![],
            network: Network::None,
            grants: vec![],
            hide_extra: vec![],
            user_home: home,
            uid: id_of(nix::unistd::geteuid().as_raw()),
            gid: id_of(nix::unistd::getegid().as_raw()),
            seccomp: true,
        };
        let (uid, gid) = (spec.uid, spec.gid);
        let scene = Self { base, spec, uid, gid, setup: None };
        scene.give_away();
        scene
    }

    pub fn user_home(&self) -> &Path {
        &self.spec.user_home
    }

    pub fn workspace(&self) -> PathBuf {
        self.spec.home.join("workspace")
    }

    /// Gives everything in the scene to the user who launches.
    pub fn give_away(&self) {
        if nix::unistd::geteuid().is_root() {
            give(self.user_home(), self.uid, self.gid);
        }
    }

    /// Writes a file of the host's home.
    pub fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.user_home().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        self.give_away();
        path
    }

    /// The launcher's command line.
    pub fn command(&self, script: &str, stay: bool) -> Command {
        let mut command = Command::new(self.launcher());
        if let Some(setup) = &self.setup {
            return self.command_after(setup, script, stay);
        }
        command.arg(script).arg(self.user_home().join("project"));
        if stay {
            command.arg("stay");
        }
        if nix::unistd::geteuid().is_root() {
            command.uid(self.uid).gid(self.gid);
        }
        command.env("HOME", self.user_home());
        command
    }

    fn command_after(&self, setup: &str, script: &str, stay: bool) -> Command {
        let become_user =
            format!("setpriv --reuid {} --regid {} --clear-groups", self.uid, self.gid);
        let become_user = if self.uid == 0 { "" } else { &become_user };
        let all = format!("set -e; {setup}; exec {become_user} \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &all, "sh"]);
        command.arg(self.launcher()).arg(script).arg(self.user_home().join("project"));
        if stay {
            command.arg("stay");
        }
        command.env("HOME", self.user_home());
        command
    }

    /// A copy where the launching user can run it: build directories are often private.
    pub fn launcher(&self) -> PathBuf {
        let copy = self.base.path().join("launcher");
        if !copy.exists() {
            std::fs::copy(launcher(), &copy).unwrap();
        }
        copy
    }

    /// Launches, and returns when PID 1 accepts connections.
    pub fn launch(&self, script: &str, stay: bool) -> Result<Started, LaunchError> {
        drop(std::fs::remove_file(self.workspace().join("done")));
        drop(std::fs::remove_file(self.spec.dir.join("log")));
        report(self.command(script, stay), &self.spec)
    }

    /// Runs a script in a sandbox to its end.
    pub fn run(&self, script: &str) -> Ran {
        let started = self.launch(script, false).unwrap();
        let code = self.wait_done();
        wait_until("PID 1 ends", || !started.instance.is_alive());
        let output = std::fs::read(self.spec.dir.join("log")).unwrap();
        Ran { code, output: String::from_utf8_lossy(&output).into_owned() }
    }

    /// Waits for the script's end.
    pub fn wait_done(&self) -> i32 {
        let done = self.workspace().join("done");
        wait_until("the script ends", || done.exists());
        std::fs::read_to_string(done).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Ok(Some(instance)) = Instance::load(&self.spec.dir) {
            let _ = instance.kill();
            wait_until("the sandbox ends", || !instance.is_alive());
        }
    }
}

/// Runs a launcher and reads its report.
pub fn report(mut command: Command, spec: &LaunchSpec) -> Result<Started, LaunchError> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(spec).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    match serde_json::from_slice(&output.stdout) {
        Ok(Report::Started(started)) => Ok(started),
        Ok(Report::Failed(error)) => Err(error),
        Err(error) => panic!("{error}: {output:?}"),
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn give(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid, gid);
        }
    }
    if !path.is_symlink() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// The host's mount table.
pub fn mounts() -> Vec<String> {
    let all = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let others = |line: &&str| OTHERS.iter().any(|other| line.contains(other));
    all.lines().filter(|line| !others(line)).map(str::to_owned).collect()
}

/// What tests of other crates mount at the same time: environments with services, and the engine of these.
const OTHERS: [&str; 4] = ["/atelier-e2e-", "/atelier-engine-", "/docker/", " nsfs "];
