//! Running git: the only place that does. No hooks, no prompts, no network, none of the caller's
//! `GIT_*` variables, and nothing that a repository's own settings could make git execute.

pub(crate) mod head;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

/// Settings that overrule every file. Hooks, file watchers, pagers, ssh and askpass programs are
/// what a repository's settings can make git run; transports other than a local path reach out.
const SETTINGS: [(&str, &str); 13] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.sshCommand", "false"),
    ("core.askPass", "false"),
    ("core.editor", "false"),
    ("core.alternateRefsCommand", "true"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("protocol.file.allow", "always"),
    ("submodule.recurse", "false"),
    ("maintenance.auto", "false"),
    // The repository is the user's own or was written by us; that its owner may be another user
    // (a container, root) is no reason to refuse once nothing of it is executed.
    ("safe.directory", "*"),
];

/// One call of git.
pub(crate) struct Git {
    command: Command,
    input: Vec<u8>,
}

impl Git {
    /// git in a folder.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut command = Command::new("git");
        command.current_dir(dir).stdin(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"GIT_") {
                command.env_remove(name);
            }
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        command.env("GIT_CONFIG_COUNT", SETTINGS.len().to_string());
        for (at, (key, value)) in SETTINGS.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        Self { command, input: Vec::new() }
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// What git reads from its standard input.
    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = bytes;
        self
    }

    fn output(mut self, doing: &'static str) -> Result<Output> {
        let fail = |e: std::io::Error| {
            let hint = (e.kind() == std::io::ErrorKind::NotFound)
                .then(|| "install git: apt-get install git, or dnf install git".to_owned());
            Error::Git { doing, why: format!("cannot run git: {e}"), hint }
        };
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(fail)?;
        let stdin = child.stdin.take();
        let input = self.input;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // git may end without reading everything; its exit code tells.
                if let Some(mut stdin) = stdin {
                    let _ = stdin.write_all(&input);
                }
            });
            child.wait_with_output()
        })
        .map_err(fail)
    }

    /// Runs git; returns what it wrote to its standard output.
    pub(crate) fn run(self, doing: &'static str) -> Result<Vec<u8>> {
        let output = self.output(doing)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let why = match words.trim() {
            "" => output.status.to_string(),
            words => words.to_owned(),
        };
        Err(Error::Git { doing, why, hint: None })
    }

    /// Runs git; `None` when it ends with a failure.
    pub(crate) fn ask(self, doing: &'static str) -> Result<Option<Vec<u8>>> {
        let output = self.output(doing)?;
        Ok(output.status.success().then_some(output.stdout))
    }
}

/// An output of one line as text.
pub(crate) fn line(output: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(output.as_ref()).trim_end().to_owned()
}
