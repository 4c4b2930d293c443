//! What goes wrong on the way to another machine, and what to do about it.

use std::io;
use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, FarError>;

/// A failure on the way to another machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FarError {
    /// Nobody gave a host this name.
    #[error("there is no host {name:?}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The list of hosts holds something else.
    #[error("{} is not a list of hosts: {why}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was given cannot be a host.
    #[error("{given:?} {why}")]
    Invalid {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A program of this machine is missing.
    #[error("{program} cannot be run on this machine: {source}")]
    Program {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The machine shows another key than the one that is known.
    #[error(
        "{host} shows another key than the one that is known for it, so nothing was sent: {said}"
    )]
    KeyChanged {
        /// The host.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// The machine's key is not known yet.
    #[error("the key of {host} is not known here, so nothing was sent: {said}")]
    KeyUnknown {
        /// The host.
        host: String,
        /// Where ssh goes for it.
        target: String,
        /// What ssh said.
        said: String,
    },
    /// It does not let us in.
    #[error("{host} does not let us in: {said}")]
    Refused {
        /// The host.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// There is no way to it.
    #[error("{host} cannot be reached: {said}")]
    Unreachable {
        /// The host.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// It runs something that our program does not run on.
    #[error("{host} is {theirs}, and this program is for {ours}")]
    Machine {
        /// The host.
        host: String,
        /// What it is.
        theirs: String,
        /// What this program is made for.
        ours: String,
    },
    /// Its disk is full.
    #[error("the disk of {host} is full: {said}")]
    DiskFull {
        /// The host.
        host: String,
        /// What the failing program said.
        said: String,
    },
    /// A program is missing there.
    #[error("{host} has no {program}")]
    Missing {
        /// The host.
        host: String,
        /// Which program.
        program: &'static str,
    },
    /// Something failed there.
    #[error("{doing} failed on {host}: {said}")]
    There {
        /// The host.
        host: String,
        /// What was done.
        doing: &'static str,
        /// What it said.
        said: String,
    },
    /// A file of this machine.
    #[error("{} cannot be {doing}: {source}", path.display())]
    Here {
        /// The file.
        path: PathBuf,
        /// What was done with it.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl FarError {
    /// A file of this machine that failed.
    pub(crate) fn here(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Here { path: path.into(), doing, source }
    }

    /// What a program that failed on the host says, in words of ours where we know them.
    pub(crate) fn there(host: &str, doing: &'static str, said: &str) -> Self {
        let (host, said) = (host.to_owned(), last_words(said));
        if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
            return Self::DiskFull { host, said };
        }
        Self::There { host, doing, said }
    }

    /// Why ssh has no connection. It has one exit code for everything (255, ssh(1)), so its words are
    /// all there is to tell these apart.
    pub(crate) fn of_ssh(host: &str, target: &str, said: &str) -> Self {
        let (host, last) = (host.to_owned(), last_words(said));
        let says = |words: &str| said.contains(words);
        if says("REMOTE HOST IDENTIFICATION HAS CHANGED") || says("key has changed") {
            return Self::KeyChanged { host, said: last };
        }
        if says("Host key verification failed") || says("host key is known") {
            return Self::KeyUnknown { host, target: target.to_owned(), said: last };
        }
        if says("Permission denied (") || says("Too many authentication failures") {
            return Self::Refused { host, said: last };
        }
        Self::Unreachable { host, said: last }
    }
}

/// The last line that says something.
pub(crate) fn last_words(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next_back().unwrap_or("it said nothing").chars().take(400).collect()
}

impl Fault for FarError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "far.unknown",
            Self::List { .. } => "far.list",
            Self::Invalid { .. } => "far.invalid",
            Self::Program { .. } | Self::Missing { .. } => "far.missing",
            Self::KeyChanged { .. } => "far.key_changed",
            Self::KeyUnknown { .. } => "far.key_unknown",
            Self::Refused { .. } => "far.refused",
            Self::Unreachable { .. } => "far.unreachable",
            Self::Machine { .. } => "far.machine",
            Self::DiskFull { .. } => "far.disk_full",
            Self::There { .. } => "far.failed",
            Self::Here { .. } => "far.file",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } => ExitCode::NotFound,
            Self::List { .. } => ExitCode::InvalidInput,
            Self::Invalid { .. } => ExitCode::Usage,
            Self::Program { .. } | Self::Missing { .. } | Self::Machine { .. } => {
                ExitCode::Configuration
            }
            Self::KeyChanged { .. } | Self::KeyUnknown { .. } | Self::Refused { .. } => {
                ExitCode::NotPermitted
            }
            Self::Unreachable { .. } => ExitCode::Engine,
            Self::DiskFull { .. } | Self::There { .. } | Self::Here { .. } => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let one = |text: String| vec![text];
        match self {
            Self::Unknown { name, known } => {
                let add = format!("add it: atelier host add {name} USER@MACHINE");
                match known.is_empty() {
                    true => vec![add],
                    false => vec![format!("there are {}", known.join(", ")), add],
                }
            }
            Self::List { path, .. } => {
                one(format!("mend {}, or remove it and add the hosts again", path.display()))
            }
            Self::Invalid { .. } => {
                one("write it as USER@MACHINE, or as ssh's configuration names it".into())
            }
            Self::Program { program, .. } => {
                one(format!("install {program}; Debian, Ubuntu: apt install openssh-client rsync"))
            }
            Self::Missing { program, .. } => one(format!("install {program} there")),
            Self::KeyChanged { .. } => vec![
                "somebody may be between you and it: ask whoever runs it before you go on".into(),
                "if it was set up anew, remove its old key with `ssh-keygen -R MACHINE`".into(),
            ],
            Self::KeyUnknown { target, .. } => {
                one(format!("compare the key and take it: `ssh {target}` in a terminal asks you"))
            }
            Self::Refused { .. } => vec![
                "it needs a key that it knows: ssh-add, or `atelier host add --identity FILE`"
                    .into(),
                "a password can be given in a terminal; the connection is kept for ten minutes"
                    .into(),
            ],
            Self::Unreachable { .. } => {
                one("`atelier host check` looks at the way step by step".into())
            }
            Self::Machine { .. } => one("use a host of the same kind as this machine".into()),
            Self::DiskFull { host, .. } => one(format!(
                "make room there: `atelier --on {host} env ls --all` lists what is kept"
            )),
            Self::There { .. } | Self::Here { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_told_apart() {
        for (said, code, exit) in [
            (
                "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.",
                "far.key_changed",
                10,
            ),
            (
                "No ED25519 host key is known for a and you have requested strict checking.\nHost key verification failed.",
                "far.key_unknown",
                10,
            ),
            ("me@a: Permission denied (publickey).", "far.refused", 10),
            ("ssh: connect to host a port 22: No route to host", "far.unreachable", 6),
        ] {
            let error = FarError::of_ssh("box", "me@a", said);
            assert_eq!((error.code(), error.exit().code()), (code, exit), "{error}");
        }
    }

    #[test]
    fn a_full_disk_there_is_called_one() {
        let error =
            FarError::there("box", "x", "rsync: write failed: No space left on device (28)\n");
        assert_eq!(error.code(), "far.disk_full");
        assert_eq!(
            FarError::there("box", "x", "\n").to_string(),
            "x failed on box: it said nothing"
        );
    }
}
