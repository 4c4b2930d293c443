//! What can go wrong with names and with the hook in the resolver, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Fault};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a name that DNS and host names allow.
    #[error("`{name}` is no name: {why}")]
    Name {
        /// What was given.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A record whose name is under none of the suffixes.
    #[error("{name} is not under {}", list(suffixes))]
    Outside {
        /// The record's name.
        name: String,
        /// What the server answers for.
        suffixes: Vec<String>,
    },
    /// Options that can't be served.
    #[error("cannot serve names: {0}")]
    Options(String),
    /// An address that can't be listened on.
    #[error("cannot listen on {address} ({transport}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file of the resolver's configuration, or of the hook's state.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The machine's resolver may be changed by root only.
    #[error("only root may change this machine's resolver")]
    NeedsRoot {
        /// What to run instead.
        command: String,
    },
    /// No known resolver here, or not in the way that was asked for.
    #[error("cannot hook this machine's resolver: {why}")]
    NoWay {
        /// What was looked for.
        why: String,
        /// What would help.
        hint: Option<String>,
    },
    /// Files of the hook were changed by somebody else.
    #[error("changed by somebody else since: {}", paths(files))]
    Changed {
        /// The files.
        files: Vec<PathBuf>,
    },
    /// A command of the resolver failed.
    #[error("`{command}` failed: {why}")]
    Command {
        /// The command, as one would type it.
        command: String,
        /// Its own words.
        why: String,
    },
    /// The hook's state is not what this program writes.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        why: String,
    },
}

impl Error {
    /// A failed system call on a file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

fn list(suffixes: &[String]) -> String {
    suffixes.iter().map(|s| format!(".{s}")).collect::<Vec<_>>().join(", ")
}

fn paths(files: &[PathBuf]) -> String {
    files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "dns.name_invalid",
            Self::Outside { .. } => "dns.name_outside",
            Self::Options(_) => "dns.options_invalid",
            Self::Listen { .. } => "dns.listen_failed",
            Self::File { .. } => "dns.file_failed",
            Self::NeedsRoot { .. } => "dns.needs_root",
            Self::NoWay { .. } => "dns.no_resolver",
            Self::Changed { .. } => "dns.resolver_changed",
            Self::Command { .. } => "dns.command_failed",
            Self::Damaged { .. } => "dns.state_damaged",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Name { .. } | Self::Outside { .. } => ExitCode::InvalidInput,
            Self::Options(_) | Self::NoWay { .. } => ExitCode::Configuration,
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                ExitCode::PortInUse
            }
            Self::NeedsRoot { .. } => ExitCode::NotPermitted,
            Self::Listen { source, .. } | Self::File { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                ExitCode::NotPermitted
            }
            Self::Changed { .. } => ExitCode::Conflict,
            Self::Command { .. } => ExitCode::Engine,
            Self::Listen { .. } | Self::File { .. } | Self::Damaged { .. } => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Listen { address, source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    format!(
                        "see who has it (`ss -lnup 'sport = {}'`), or choose another port",
                        address.port()
                    )
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose a higher one"
                        .to_owned()
                }
                io::ErrorKind::AddrNotAvailable => {
                    "no interface of this machine has that address".to_owned()
                }
                _ => return Vec::new(),
            },
            Self::NeedsRoot { command } => format!("run `{command}`"),
            Self::NoWay { hint: Some(hint), .. } => hint.clone(),
            Self::Changed { .. } => {
                "remove the hook (what others changed is left as it is), and set it up again"
                    .to_owned()
            }
            Self::Damaged { .. } => {
                "compare the resolver's files with what they should be, then delete it".to_owned()
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
