//! The harness: a [`Lab`] is a home folder, a project and the binary, on a machine of one's own.

mod chaos;
mod engine;
mod escape;
mod far;
mod http;
mod image;
mod leaks;
mod own_engine;
mod podman;
mod sandboxes;
mod servers;
mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub use chaos::{Dice, kill_control_plane, leave_job, serving};
pub use engine::{ask_engine, containers, containers_at, send_engine, tell_engine};
pub use escape::{all_refused, helper};
pub use far::FarHost;
pub use http::{ask, connect, raw, send};
pub use leaks::Traces;
pub use own_engine::OwnEngine;
pub use podman::Podman;
pub use sandboxes::kill_sandbox;
pub use servers::greeter;
pub use terminal::{in_terminal, terminal_of};

/// Far beyond what anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home, a project, and the binary.
pub struct Lab {
    /// An engine of its own, which ends before its folder goes.
    podman: Option<Podman>,
    folder: tempfile::TempDir,
    /// Variables of the binary besides the usual ones.
    variables: Vec<(&'static str, String)>,
    /// The project that commands run in.
    pub project: PathBuf,
}

impl Lab {
    /// With a project of two files, in git, committed.
    pub fn new() -> Self {
        let lab = Self::bare("shop");
        lab.write("README.md", "# shop\n");
        lab.write("src/app.txt", "one\ntwo\nthree\n");
        lab.git(&["init", "-q", "-b", "main"]);
        lab.git(&["add", "-A"]);
        lab.git(&["commit", "-q", "-m", "first"]);
        lab
    }

    /// With an empty folder of this name for a project.
    pub fn bare(name: impl AsRef<OsStr>) -> Self {
        // Not below /tmp: environments have a /tmp of their own, and projects seldom lie there.
        let folder =
            tempfile::Builder::new().prefix("atelier-e2e-").tempdir_in("/var/tmp").unwrap();
        let project = folder.path().join(name.as_ref());
        fs::create_dir(&project).unwrap();
        fs::create_dir(folder.path().join("user")).unwrap();
        Self { podman: None, folder, project, variables: Vec::new() }
    }

    /// The home folder of this lab's Atelier.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The home folder of this lab's user.
    pub fn user_home(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.project.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file of the project.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.project.join(path)).unwrap()
    }

    /// Runs git in the project.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(args)
            .current_dir(&self.project)
            .env("HOME", self.user_home())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The binary, set up to run in the project.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atelier"));
        command
            .args(args)
            .current_dir(&self.project)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.user_home())
            .env("ATELIER_HOME", self.home())
            .env("ATELIER_INGRESS", "127.0.0.1:0")
            .env("ATELIER_SSH", "127.0.0.1:0")
            .env("ATELIER_DNS", "127.0.0.1:0")
            .env("ATELIER_SANDBOX_FROM", "box")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        for key in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(key) {
                command.env(key, value);
            }
        }
        if std::env::var_os("RUSTUP_HOME").is_none()
            && let Some(home) = std::env::var_os("HOME")
        {
            command.env("RUSTUP_HOME", Path::new(&home).join(".rustup"));
            command.env("CARGO_HOME", Path::new(&home).join(".cargo"));
        }
        command
    }

    /// Runs the binary to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    /// Runs the binary; it must succeed. Gives its output.
    pub fn ok<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "atelier {args:?} failed: {}", done.stderr);
        done.stdout
    }

    /// Runs the binary with `--json`; it must succeed.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut args = args.to_vec();
        args.push("--json");
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    /// Runs the binary with text on its standard input.
    pub fn with_input(&self, args: &[&str], input: &[u8]) -> Done {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let done = Done::of(child.wait_with_output().unwrap());
        writer.join().unwrap();
        done
    }

    /// Starts the binary and leaves it running, its output in pipes.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The process of the control plane, if one serves.
    pub fn control_plane(&self) -> Option<i32> {
        let status = self.run(&["status", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&status.stdout).ok()?;
        i32::try_from(value["pid"].as_i64()?).ok()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.home().exists() {
            return;
        }
        // A failed test has shown what it had to show; what it leaves must still go.
        for project in [None, Some("--all")] {
            let mut args = vec!["env", "ls", "--json"];
            args.extend(project);
            let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(&self.run(&args).stdout)
            else {
                continue;
            };
            for env in list {
                let (name, root) = (env["name"].as_str().unwrap(), env["root"].as_str().unwrap());
                let mut rm = self.command(&["env", "rm", "--yes", "--force", name]);
                if Path::new(root).is_dir() {
                    rm.current_dir(root);
                }
                let _ = rm.output();
            }
        }
        let _ = self.run(&["sandbox", "rm", "--all", "--yes"]);
        let _ = self.run(&["stop"]);
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; 128 and more when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Done {
    pub fn of(output: impl Into<Output>) -> Self {
        let output = output.into();
        use std::os::unix::process::ExitStatusExt;
        let code =
            output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// It must have failed with this code, saying each of these.
    pub fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "stdout: {} stderr: {}", self.stdout, self.stderr);
        for words in says {
            assert!(self.stderr.contains(words), "{words:?} is not in: {}", self.stderr);
        }
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs Python in the project, and gives what it printed.
pub fn python(lab: &Lab, script: &str) -> String {
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).current_dir(&lab.project).env("HOME", lab.user_home());
    let output = python.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs a program of the project that calls `atelier` by its name.
pub fn program(lab: &Lab, name: &str, args: &[&str], variables: &[(&str, &str)]) -> Done {
    let folder = Path::new(env!("CARGO_BIN_EXE_atelier")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    // As the lab's own commands, but for what is run.
    let like = lab.command(&["version"]);
    let mut command = Command::new(name);
    command.args(args).current_dir(&lab.project).env_clear().stdin(Stdio::null());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", path).envs(variables.iter().copied());
    Done::of(command.output().unwrap())
}

/// A path from bytes.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
