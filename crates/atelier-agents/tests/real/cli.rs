//! The agents' own programs, each run in a home of the test's own, without a network, with a time limit.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Lab;

/// No agent needs a tenth of it; one that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// A home with agents.
pub struct Real {
    pub lab: Lab,
    programs: PathBuf,
}

/// What a program did.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The folder with the agents' programs.
pub fn programs() -> PathBuf {
    let folder = std::env::var_os("ATELIER_TEST_AGENTS").unwrap_or_else(|| {
        panic!(
            "no agents: run scripts/test, or copy tests/agents somewhere, run `npm install --no-save` there, and name \
             that folder in ATELIER_TEST_AGENTS"
        )
    });
    let programs = Path::new(&folder).join("node_modules/.bin").canonicalize();
    programs.unwrap_or_else(|e| panic!("{}: {e}", Path::new(&folder).display()))
}

impl Real {
    pub fn new() -> Self {
        Self { lab: Lab::new(), programs: programs() }
    }

    /// Makes the project one that Gemini CLI trusts.
    pub fn trust(&self) {
        let project = self.lab.path("project");
        let trust = serde_json::json!({project.to_str().unwrap(): "TRUST_FOLDER"});
        self.lab.write(&self.lab.path(".gemini/trustedFolders.json"), &trust.to_string());
    }

    /// A real MCP server, as a program.
    pub fn server(&self) -> String {
        self.programs.join("mcp-server-everything").to_str().unwrap().to_owned()
    }

    /// Runs an agent's program in the project, and expects that it works.
    pub fn run(&self, line: &[&str]) -> String {
        let said = self.try_run(line);
        assert_eq!(said.code, Some(0), "{line:?}: {}{}", said.out, said.err);
        said.out
    }

    /// Runs an agent's program in the project.
    pub fn try_run(&self, line: &[&str]) -> Said {
        let (out, err) = (self.lab.path(".out"), self.lab.path(".err"));
        let path = format!("{}:/usr/bin:/bin", self.programs.display());
        // In namespaces of its own, so that nothing goes out and whatever it starts ends with it.
        let child = Command::new("/usr/bin/unshare")
            .args(["-rnpf", "--kill-child", "--mount-proc", "/bin/sh", "-c"])
            .args(["PATH=$PATH:/usr/sbin:/sbin ip link set lo up; \"$@\"", "sh"])
            .args(line)
            .env_clear()
            .env("HOME", self.lab.folder.path())
            .env("PATH", path)
            .env("TERM", "dumb")
            .env("LANG", "C.UTF-8")
            .current_dir(self.lab.path("project"))
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let code = wait(child, line);
        Said { code, out: text(&out), err: text(&err) }
    }
}

fn wait(mut child: Child, line: &[&str]) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{line:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(path: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    // Colours are of no interest.
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    plain + rest
}
