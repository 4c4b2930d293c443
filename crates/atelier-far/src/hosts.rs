//! The hosts that the user named, in a file of the home folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use atelier_api::Name;
use atelier_config::Home;
use atelier_files::whole;
use serde::{Deserialize, Serialize};

use crate::error::{FarError, Result};

/// A machine that SSH reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// What the user calls it.
    #[serde(skip)]
    pub name: String,
    /// Where ssh goes: `user@machine`, or a name of ssh's configuration.
    pub ssh: String,
    /// Its port, where it is not the one that ssh takes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A file with a private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// Atelier's home there; `~/.atelier` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Further settings of ssh, as `ssh -o` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Host {
    /// Checks what ssh would take for something else.
    ///
    /// # Errors
    /// [`FarError::Invalid`].
    pub fn check(&self) -> Result<()> {
        let bad = |given: &str, why| Err(FarError::Invalid { given: given.to_owned(), why });
        if self.ssh.is_empty() || self.ssh.starts_with('-') {
            return bad(&self.ssh, "is no machine that ssh could go to");
        }
        if self
            .ssh
            .contains(|c: char| c.is_whitespace() || c.is_control() || "'\"\\$`;".contains(c))
        {
            return bad(&self.ssh, "has characters that no machine's name has");
        }
        match &self.home {
            Some(home) if !home.starts_with('/') => bad(home, "is no absolute path"),
            _ => Ok(()),
        }
    }
}

/// All of them by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hosts(pub BTreeMap<Name, Host>);

impl Hosts {
    /// Reads the list; an empty one when there is none.
    ///
    /// # Errors
    /// [`FarError::List`] with line and column, or when the file cannot be read.
    pub fn load(home: &Home) -> Result<Self> {
        let path = home.hosts_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(FarError::here("read", path, e)),
        };
        let mut hosts: Self =
            serde_json::from_str(&text).map_err(|e| FarError::List { path, why: e.to_string() })?;
        for (name, host) in &mut hosts.0 {
            host.name = name.to_string();
            host.check()?;
        }
        Ok(hosts)
    }

    /// Writes the list, wholly or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, home: &Home) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        write(&home.hosts_file(), &text)
    }

    /// The host of this name, or else the Docker context.
    ///
    /// # Errors
    /// [`FarError::Unknown`].
    pub fn named(home: &Home, name: &str) -> Result<Host> {
        let hosts: Vec<Host> = Self::load(home)?.0.into_values().chain(Self::of_docker()).collect();
        let known = || hosts.iter().map(|host| host.name.clone()).collect();
        let found = hosts.iter().find(|host| host.name == name);
        found.cloned().ok_or_else(|| FarError::Unknown { name: name.to_owned(), known: known() })
    }

    /// Docker contexts that ssh reaches: hosts that nobody needs to add.
    #[must_use]
    pub fn of_docker() -> Vec<Host> {
        crate::docker::hosts()
    }
}

/// What this machine calls itself to others: made once.
pub(crate) fn own_id(home: &Home) -> Result<String> {
    let path = folder(home)?.join("id");
    match fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(FarError::here("read", path, e));
        }
        _ => {}
    }
    let id = uuid::Uuid::now_v7().simple().to_string();
    write(&path, &id)?;
    // Whoever made one at the same time may have been the last.
    fs::read_to_string(&path).map_err(|e| FarError::here("read", path, e))
}

/// The folder of what is kept for far hosts.
pub(crate) fn folder(home: &Home) -> Result<PathBuf> {
    let path = home.far();
    whole::private_folder(&path).map_err(|e| FarError::here("made", &path, e))?;
    Ok(path)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let fail = |e| FarError::here("written", path, e);
    if let Some(folder) = path.parent() {
        whole::private_folder(folder).map_err(fail)?;
    }
    whole::replace(path, text.as_bytes(), whole::PRIVATE).map_err(fail)
}

#[cfg(test)]
mod tests {
    use atelier_api::Fault;

    use super::*;

    fn host(ssh: &str) -> Host {
        Host {
            name: "box".into(),
            ssh: ssh.into(),
            port: Some(2222),
            identity: None,
            home: None,
            options: Vec::new(),
        }
    }

    #[test]
    fn hosts_are_kept_and_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let error = Hosts::named(&home, "box").unwrap_err();
        assert_eq!(error.hints(), ["add it: atelier host add box USER@MACHINE"]);
        let mut hosts = Hosts::default();
        hosts.0.insert("box".parse().unwrap(), host("me@lab"));
        hosts.save(&home).unwrap();
        assert_eq!(Hosts::named(&home, "box").unwrap(), host("me@lab"));
        assert!(Hosts::named(&home, "fox").unwrap_err().hints()[0].contains("box"));
    }

    #[test]
    fn what_ssh_would_take_for_an_option_is_no_host() {
        for bad in ["", "-oProxyCommand=x", "a b", "a;b", "a'b"] {
            assert_eq!(host(bad).check().unwrap_err().code(), "far.invalid", "{bad}");
        }
        host("me@[fe80::1%eth0]").check().unwrap();
    }

    #[test]
    fn a_machine_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert_eq!(own_id(&home).unwrap(), own_id(&home).unwrap());
    }
}
