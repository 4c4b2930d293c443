//! The connection: the system's `ssh`, one of which stays for a while so that the next ones need no
//! new handshake (ssh_config(5), `ControlMaster`). The one place of this crate that starts processes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use atelier_config::Home;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::error::{FarError, Result};
use crate::hosts::{Host, folder};
use crate::quote;

/// What ssh appends to a socket's path while it makes it, and the final zero byte.
const LONGEST_CONTROL: usize = 107 - 18;

/// A lost connection is known to be lost after twelve seconds without an answer. What the user's own
/// configuration forwards for work by hand, the agent above all, is nothing that the host needs here; and
/// its command would stand in the way of ours.
const OWN: [&str; 8] = [
    "ServerAliveInterval=4",
    "ServerAliveCountMax=3",
    "ConnectTimeout=10",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "RequestTTY=no",
];

/// Whether somebody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// In a terminal ssh may ask for a passphrase, and whether a key is the right one.
    Asks,
    /// Nobody is there: what would have to be asked fails.
    Silent,
}

/// A connection to a host, shared by everything that goes there.
#[derive(Debug, Clone)]
pub struct Ssh {
    host: Host,
    control: PathBuf,
    log: PathBuf,
}

/// What a program on the host did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ssh {
    /// Connects, unless there is a connection from before.
    ///
    /// # Errors
    /// [`FarError`] with what ssh said.
    pub fn open(host: Host, home: &Home, manner: Manner) -> Result<Self> {
        let this = Self::of(host, home)?;
        // Two at the same time would both become the shared one, and one of them stay for nothing.
        let path = this.log.with_extension("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(|e| FarError::here("opened", &path, e))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|e| FarError::here("locked", &path, e.into()))?;
        if !this.is_up()? {
            this.connect(manner)?;
        }
        Ok(this)
    }

    /// The same without looking whether there is a connection: each stream makes its own where there
    /// is none.
    ///
    /// # Errors
    /// When the folder for it cannot be made.
    pub fn of(host: Host, home: &Home) -> Result<Self> {
        let folder = folder(home)?;
        let control = control(&folder, &host)?;
        let log = folder.join(format!("{}.log", host.name));
        Ok(Self { host, control, log })
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    fn is_up(&self) -> Result<bool> {
        let mut command = self.client();
        command.args(["-O", "check"]).arg(&self.host.ssh);
        let done =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(done.map_err(no_ssh)?.success())
    }

    fn connect(&self, manner: Manner) -> Result<()> {
        let log =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.log);
        let log = log.map_err(|e| FarError::here("written", &self.log, e))?;
        let mut command = Command::new("ssh");
        command.args(self.settings());
        match manner {
            Manner::Asks => command.args(["-o", "StrictHostKeyChecking=ask"]),
            Manner::Silent => {
                command.args(["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"])
            }
        };
        command
            .args(["-o", "ControlMaster=yes", "-o", "ControlPersist=600", "-fN"])
            .arg(&self.host.ssh)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A file, not a pipe: the one that stays keeps it open.
            .stderr(log);
        match command.status().map_err(no_ssh)?.success() {
            true => Ok(()),
            false => Err(FarError::of_ssh(&self.host.name, &self.host.ssh, &self.said())),
        }
    }

    /// What ssh wrote last of this host.
    #[must_use]
    pub fn said(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| log.read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// What holds for every ssh that we start.
    fn settings(&self) -> Vec<OsString> {
        let mut settings: Vec<OsString> = Vec::new();
        if let Some(port) = self.host.port {
            settings.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(identity) = &self.host.identity {
            settings.extend([
                "-i".into(),
                identity.into(),
                "-o".into(),
                "IdentitiesOnly=yes".into(),
            ]);
        }
        let mut control = OsString::from("ControlPath=");
        control.push(percent(&self.control));
        let own = OWN.iter().map(OsString::from);
        let asked = self.host.options.iter().map(OsString::from);
        // ssh takes the first of two: what the user asked for comes before what we do.
        for option in asked.chain([control]).chain(own) {
            settings.extend(["-o".into(), option]);
        }
        settings
    }

    /// An ssh that goes through the shared connection, or makes its own without asking anybody.
    fn client(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.client_settings()).env("LC_ALL", "C").current_dir("/");
        command
    }

    fn client_settings(&self) -> Vec<OsString> {
        let mut settings = self.settings();
        for option in
            ["ControlMaster=no", "BatchMode=yes", "StrictHostKeyChecking=yes", "LogLevel=ERROR"]
        {
            settings.extend(["-o".into(), option.into()]);
        }
        settings.push("-T".into());
        settings
    }

    /// The same as one line, for programs that start ssh themselves.
    pub(crate) fn line(&self, quote: fn(&str) -> String) -> String {
        let words = self.client_settings();
        let words = words.iter().map(|word| quote(&word.to_string_lossy()));
        std::iter::once("ssh".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Has git fetch a branch that is new here. The inner result is git's own failure.
    pub(crate) fn git_fetch(
        &self,
        from: &Path,
        into: &Path,
        branch: &str,
    ) -> Result<std::result::Result<(), String>> {
        let mut repository = OsString::from(&self.host.ssh);
        repository.push(":");
        repository.push(from);
        let done = Command::new("git")
            .args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-write-fetch-head",
            ])
            .arg(repository)
            .arg(format!("refs/heads/{branch}:refs/heads/{branch}"))
            .env("GIT_SSH_COMMAND", self.line(quote::shell))
            // What the host offers is checked like what a stranger pushes.
            .envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "fetch.fsckObjects")])
            .env("GIT_CONFIG_VALUE_0", "true")
            .current_dir(into)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| FarError::Program { program: "git", source })?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        Ok(if done.status.success() { Ok(()) } else { Err(said) })
    }

    /// Runs a script there, in a POSIX shell whatever the user's own is, to its end.
    pub(crate) fn run(&self, script: &str, stdin: Stdio) -> Result<Ran> {
        let mut command = self.client();
        command.arg(&self.host.ssh).arg(format!("exec sh -c {}", quote::shell(script)));
        let child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let done = child.and_then(Child::wait_with_output).map_err(no_ssh)?;
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        // 255 is ssh's own; a script of ours never ends with it.
        if done.status.code() == Some(255) {
            return Err(FarError::of_ssh(&self.host.name, &self.host.ssh, &stderr));
        }
        Ok(Ran { code: done.status.code(), stdout: done.stdout, stderr })
    }

    /// A stream to what a command there reads and writes. Where the connection breaks it ends.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn stream(&self, command: &str) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.join(command, theirs.try_clone()?.into(), theirs.into())?;
        Ok(ours)
    }

    /// Joins two descriptors with a command there.
    pub(crate) fn join(&self, command: &str, stdin: OwnedFd, stdout: OwnedFd) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log)?;
        let mut ssh = self.client();
        ssh.arg(&self.host.ssh).arg(format!("exec sh -c {}", quote::shell(command)));
        let mut child = ssh.stdin(stdin).stdout(stdout).stderr(log).spawn()?;
        std::thread::Builder::new().name("far".into()).spawn(move || child.wait())?;
        Ok(())
    }

    /// Runs rsync with these arguments and the shared connection; `stdin` is what it reads.
    pub(crate) fn rsync(&self, arguments: &[OsString], stdin: Stdio) -> Result<Child> {
        let mut command = Command::new("rsync");
        command.arg("-e").arg(self.line(quote::remote_shell)).args(arguments).env("LC_ALL", "C");
        let child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map_err(|source| FarError::Program { program: "rsync", source })
    }

    /// Ends the shared connection. Streams through it end too.
    pub fn close(&self) {
        let mut command = self.client();
        command.args(["-O", "exit"]).arg(&self.host.ssh);
        // Where there is none, there is nothing to end.
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A setting of git in a folder here.
pub(crate) fn git_setting(folder: &Path, key: &str) -> Option<String> {
    let mut command = Command::new("git");
    let asked = command.args(["config", "--get", key]).current_dir(folder).output().ok()?;
    let value = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
    (asked.status.success() && !value.is_empty()).then_some(value)
}

fn no_ssh(source: io::Error) -> FarError {
    FarError::Program { program: "ssh", source }
}

/// The path for ssh's configuration language, in which `%` begins a token.
fn percent(path: &Path) -> OsString {
    path.to_string_lossy().replace('%', "%%").into()
}

/// The shared connection's socket. What is told of the host is in its name, so that a changed host is
/// another connection.
fn control(folder: &Path, host: &Host) -> Result<PathBuf> {
    let told = serde_json::to_vec(host).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(folder.as_os_str().as_bytes());
    hash.update(told);
    let name: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
    let usual = folder.join(&name);
    if usual.as_os_str().len() <= LONGEST_CONTROL {
        return Ok(usual);
    }
    // A socket's path is short; a home's need not be.
    let own = rustix::process::getuid().as_raw();
    let short = PathBuf::from(format!("/tmp/atelier-far-{own}"));
    let fail = |e| FarError::here("made", &short, e);
    match fs::DirBuilder::new().mode(0o700).create(&short) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail(e)),
        _ => {}
    }
    let found = fs::symlink_metadata(&short).map_err(fail)?;
    if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
        return Err(fail(io::Error::other("it is there, and not this user's alone")));
    }
    Ok(short.join(name))
}
