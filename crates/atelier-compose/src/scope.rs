//! For whom a project is rewritten: names, labels, addresses, folders.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{ComposeError, Result};
use crate::subnet::{SubnetV4, SubnetV6};

/// Everything that an environment changes about a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// The Compose project's name: `[a-z0-9][a-z0-9_-]*`. Prefix of every name on the engine.
    pub name: String,
    /// Put on containers, networks, volumes and built images.
    pub labels: BTreeMap<String, String>,
    /// Absolute paths at or below this folder ...
    pub root: PathBuf,
    /// ... mean the same below this one: the environment's copy.
    pub tree: PathBuf,
    /// The first half is the main network's, the second is cut into eight for further networks.
    pub subnet_v4: SubnetV4,
    /// Cut the same way. None: no IPv6.
    pub subnet_v6: Option<SubnetV6>,
    /// Whether published ports stay, on 127.0.0.1 with a host port that the engine chooses.
    pub publish: bool,
    /// Whether every TCP port that a service listens on is published so: for engines whose containers'
    /// addresses can't be reached.
    pub loopback: bool,
    /// Services that another instance provides: left out here.
    pub shared: BTreeSet<String>,
    /// Names with addresses for every service on our networks.
    pub hosts: Vec<(String, IpAddr)>,
    /// What host names end with, such as `test`.
    pub suffix: String,
    /// The environment's name, for host names.
    pub env: String,
    /// The project's name, for host names.
    pub project: String,
}

impl Scope {
    /// A scope that only names; folders stay as they are. The other fields are the caller's.
    #[must_use]
    pub fn new(name: &str, subnet_v4: SubnetV4) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            root: PathBuf::new(),
            tree: PathBuf::new(),
            subnet_v4,
            subnet_v6: None,
            publish: false,
            loopback: false,
            shared: BTreeSet::new(),
            hosts: Vec::new(),
            suffix: "test".to_owned(),
            env: name.to_owned(),
            project: name.to_owned(),
        }
    }

    /// Refuses what Compose would not take as a project's name.
    pub(crate) fn check(&self) -> Result<()> {
        let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = self.name.starts_with(first)
            && self.name.chars().all(|c| first(c) || c == '_' || c == '-');
        if !good {
            let why = "a name is of a-z, 0-9, - and _, and starts with a letter or a digit";
            return Err(ComposeError::BadScope { name: self.name.clone(), why: why.to_owned() });
        }
        if self.tree.as_os_str().is_empty() != self.root.as_os_str().is_empty()
            || self.root.is_relative() != self.root.as_os_str().is_empty()
            || self.tree.is_relative() != self.tree.as_os_str().is_empty()
        {
            let why = "root and tree must both be absolute, or both empty".to_owned();
            return Err(ComposeError::BadScope { name: self.name.clone(), why });
        }
        Ok(())
    }

    /// What a thing of the project is called on the engine.
    pub(crate) fn named(&self, key: &str) -> String {
        format!("{}_{key}", self.name)
    }

    /// The suffix without the dot that some write in front.
    pub(crate) fn suffix(&self) -> &str {
        self.suffix.trim_matches('.')
    }
}
