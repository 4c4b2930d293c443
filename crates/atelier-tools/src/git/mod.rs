//! git, through its own program: credentials, proxies, signing and `insteadOf` are as the user set them up. What a
//! repository of somebody else could make it run (hooks, filters, submodules, odd protocols) is switched off.

mod home;
mod remote;

use crate::process::Command;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use home::Git;
pub(crate) use remote::{Reference, Remote};

use crate::process::{Cancel, Ended, Run, Stopped};
use crate::{Result, ToolsError};

/// What another repository, or an outer git that runs us as a hook, could have set.
const FOREIGN: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_EXTERNAL_DIFF",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_TEMPLATE_DIR",
    "GIT_QUARANTINE_PATH",
    "GIT_TRACE",
];

const SAFE: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "diff.external=",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "protocol.ssh.allow=always",
    "protocol.git.allow=always",
    "protocol.file.allow=always",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.symlinks=true",
    "init.templateDir=",
    "transfer.credentialsInUrl=warn",
    "fetch.fsckObjects=false",
];

/// One call of git in a folder.
pub(super) struct Call<'a> {
    command: Command,
    folder: &'a Path,
    limit: Duration,
    cancel: Cancel,
    input: Option<Vec<u8>>,
    most: Option<u64>,
}

impl<'a> Call<'a> {
    pub fn new(folder: &'a Path, limit: Duration, cancel: &Cancel) -> Self {
        let mut command = Command::new("git");
        command.current_dir(folder);
        for setting in SAFE {
            command.args(["-c", setting]);
        }
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_PROTOCOL_FROM_USER", "0")
            .env("LC_ALL", "C");
        Self { command, folder, limit, cancel: cancel.clone(), input: None, most: None }
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// It speaks to another machine. A question for a password or a host's key would wait for ever: our children have
    /// no terminal.
    pub fn far(mut self) -> Self {
        let get = ["config", "--get-regexp", r"^core\.(sshcommand|askpass)$"];
        let said = Self::new(self.folder, self.limit, &self.cancel).args(get).run();
        let said = said.map(|ended| ended.text()).unwrap_or_default();
        let set = |name: &str| std::env::var_os(name).is_some();
        let configured = |name: &str| said.lines().any(|line| line.starts_with(name));
        if !(set("GIT_SSH_COMMAND") || set("GIT_SSH") || configured("core.sshcommand")) {
            self = self.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
        }
        // A command of the user's own may ask all the same, at the terminal that it finds by itself: OpenSSH then
        // asks a program instead, which says nothing.
        if !set("SSH_ASKPASS") {
            self = self.env("SSH_ASKPASS", "false");
            if !(set("GIT_ASKPASS") || configured("core.askpass")) {
                self = self.env("GIT_ASKPASS", "");
            }
        }
        self.env("SSH_ASKPASS_REQUIRE", "force")
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// The folder may not grow beyond so many bytes meanwhile.
    pub fn most(mut self, bytes: u64) -> Self {
        self.most = Some(bytes);
        self
    }

    /// Runs it, however it ends.
    pub fn run(self) -> Result<Ended> {
        let folder: PathBuf = self.folder.to_owned();
        let mut run = Run::new(self.command, self.limit, &self.cancel);
        run.input = self.input;
        run.folder = self.most.map(|most| (folder.clone(), most));
        run.run().map_err(|stopped| match stopped {
            Stopped::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match folder.is_dir() {
                    true => ToolsError::Program {
                        program: "git".into(),
                        why: "for the home of tools".into(),
                    },
                    false => ToolsError::NoHome(folder),
                }
            }
            Stopped::Start(error) => ToolsError::Git(format!("git cannot be started: {error}")),
            Stopped::Time(limit) => {
                ToolsError::Git(format!("git did not end within {} s", limit.as_secs()))
            }
            Stopped::Size(most) => {
                ToolsError::Git(format!("git brought more than {} MiB", most >> 20))
            }
            Stopped::Cancelled => ToolsError::Cancelled,
        })
    }

    /// Runs it; anything but success is an error with `doing` in front.
    pub fn ok(self, doing: &str) -> Result<String> {
        let ended = self.run()?;
        match ended.ok() {
            true => Ok(ended.text()),
            false => Err(ToolsError::Git(format!("{doing}: {}", ended.said()))),
        }
    }
}

/// The files of a folder that its repository does not ignore; nothing when it is in none.
pub(crate) fn not_ignored(
    folder: &Path,
    context: &crate::context::Context<'_>,
) -> Option<Vec<String>> {
    let call = || Call::new(folder, context.limits.time, &context.cancel);
    let args = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
        "--",
        ".",
    ];
    let listed = call().args(args).run().ok().filter(Ended::ok)?;
    let text = listed.text();
    let there = |path: &&str| !path.is_empty() && folder.join(path).symlink_metadata().is_ok();
    let paths: Vec<String> = text.split('\0').filter(there).map(str::to_owned).collect();
    // A folder that is ignored as a whole lists nothing.
    (!paths.is_empty()).then_some(paths)
}

/// git with the user's own arguments, in the home; everything is as the user set it up.
#[must_use]
pub fn passthrough(home: &crate::Home, args: &[std::ffi::OsString]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(home.root()).args(args);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}
