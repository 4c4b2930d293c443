//! The hook in this machine's resolver: the system asks our server for our suffixes, and all else
//! as before. What will be changed is said first ([`plan`]); what was changed is written down, and
//! taken back exactly ([`remove`]).
//!
//! | way | what is changed | lasts over a reboot |
//! |---|---|---|
//! | [`Way::Resolved`] | one file below `/etc/systemd`, for systemd-resolved 246 or newer | yes |
//! | [`Way::NetworkManager`] | two files below `/etc/NetworkManager`, for its dnsmasq | yes |
//! | [`Way::ResolvConf`] | `/etc/resolv.conf`: our server on port 53 forwards all else | unless it is generated |
//! | [`Way::MacOs`] | a file for each suffix in `/etc/resolver` | yes |
//!
//! Of the two ways into systemd-resolved, files were chosen over servers of a link of our own
//! (`resolvectl dns`): those are gone after a reboot, and need a link with an address.
//!
//! Only [`apply`] and [`remove`] need root.

mod act;
mod detect;
mod fault;
mod files;
mod journal;
mod plan;
mod runner;
mod status;
#[cfg(test)]
mod tests;
mod ways;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};

pub use act::{Applied, Kept, Removed, apply, remove};
pub use files::{Content, Original};
pub use plan::{Change, Plan, plan};
pub use runner::{Commands, Output, Runner};
pub use status::{State, Status, status};

/// A way into the system's resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Way {
    /// systemd-resolved: a delegate file from version 258 on, a drop-in before.
    #[serde(rename = "systemd-resolved")]
    Resolved,
    /// NetworkManager, with its dnsmasq.
    #[serde(rename = "network-manager")]
    NetworkManager,
    /// `/etc/resolv.conf` itself.
    #[serde(rename = "resolv.conf")]
    ResolvConf,
    /// `/etc/resolver` of macOS.
    #[serde(rename = "macos")]
    MacOs,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Resolved, Self::NetworkManager, Self::ResolvConf, Self::MacOs];

    /// The name for people and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolved => "systemd-resolved",
            Self::NetworkManager => "network-manager",
            Self::ResolvConf => "resolv.conf",
            Self::MacOs => "macos",
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Way {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|way| way.name() == text).ok_or_else(|| Error::NoWay {
            why: format!("`{text}` is no way into a resolver"),
            hint: Some(format!("there are {}", Self::ALL.map(Self::name).join(", "))),
        })
    }
}

/// What kind of system it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// Linux.
    Linux,
    /// macOS.
    MacOs,
}

/// The system whose resolver is to be hooked, and to which server.
#[derive(Debug, Clone)]
pub struct System {
    /// The folder that all paths are below: `/` but in tests.
    pub root: PathBuf,
    /// What kind of system it is.
    pub os: Os,
    /// Where is written down what was changed, as a path below `root`. Its folder must exist.
    pub state: PathBuf,
    /// What runs the resolver's commands.
    pub runner: Arc<dyn Runner>,
    /// Where our server listens.
    pub server: SocketAddr,
    /// The suffixes that it is to be asked for.
    pub domains: Vec<String>,
    /// The way to take. `None`: the one that fits.
    pub way: Option<Way>,
    /// What a user without root is told to run instead of [`apply`].
    pub setup_command: String,
    /// The same for [`remove`].
    pub remove_command: String,
}

impl System {
    /// This machine, with the usual places.
    #[must_use]
    pub fn here(server: SocketAddr, domains: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let (os, state) = if cfg!(target_os = "macos") {
            (Os::MacOs, "/var/db/atelier-dns.json")
        } else {
            (Os::Linux, "/var/lib/atelier-dns.json")
        };
        Self {
            root: "/".into(),
            os,
            state: state.into(),
            runner: Arc::new(Commands::default()),
            server,
            domains: domains.into_iter().map(Into::into).collect(),
            way: None,
            setup_command: "sudo atelier dns setup".to_owned(),
            remove_command: "sudo atelier dns remove".to_owned(),
        }
    }
}
