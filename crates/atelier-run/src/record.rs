//! An environment as it is kept: in the database, and as a file in its own folder, so that a lost
//! database loses no environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use atelier_api::{EnvOptions, Name, Problem};
use atelier_environment::{Mode, Project, Workspace};
use atelier_files::whole;
use atelier_net::Policy;
use atelier_sandbox::{Root, SandboxSpec};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use atelier_launch::{MountSource, WorkspaceMount};

use crate::services::tree;

/// The file in an environment's folder.
const FILE: &str = "env.json";

/// An environment, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    pub(crate) name: Name,
    pub(crate) project: Project,
    pub(crate) options: EnvOptions,
    pub(crate) policy: Policy,
    pub(crate) workspace: Workspace,
    pub(crate) created_at: Timestamp,
    /// Whether its workspace is mounted where a container engine sees it.
    #[serde(default)]
    pub(crate) shown: bool,
    /// Further names of its services, whole, with the service of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) hostnames: BTreeMap<String, String>,
    /// The main port of its web server, from `atelier.yaml`.
    pub(crate) port: Option<u16>,
    #[serde(with = "atelier_launch::wire::path")]
    pub(crate) user_home: PathBuf,
    /// Set while it is being made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) renewal: Option<Renewal>,
}

/// An environment that is being made anew.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// What it was before.
    pub(crate) before: Box<Record>,
    /// Whether the new one is whole: then the old one goes, and else it comes back.
    pub(crate) whole: bool,
    /// Whether the data of its services stays.
    pub(crate) keep_data: bool,
}

impl Record {
    pub(crate) fn runtime(&self) -> &str {
        self.options.runtime.as_deref().unwrap_or("host")
    }

    /// `project/env`, for logs and events.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.project.name, self.name)
    }

    /// The sandbox of this environment: its project's folder shows the workspace.
    pub(crate) fn sandbox(&self, policy: Policy, folder: &Path) -> SandboxSpec {
        SandboxSpec {
            id: self.id,
            runtime: self.runtime().to_owned(),
            hostname: self.name.to_string(),
            root: Root::Machine,
            mounts: vec![WorkspaceMount {
                target: self.workspace.target.clone(),
                source: mount_source(&self.workspace, self.shown.then_some(folder)),
            }],
            policy,
            resources: self.options.resources.clone(),
            rates: <_>::default(),
            grants: self.options.grants.clone(),
            variables: self.options.variables.clone(),
            user_home: self.user_home.clone(),
        }
    }

    /// Writes the file in the environment's folder, whole or not at all.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Problem> {
        let path = folder.join(FILE);
        let write = || {
            fs::create_dir_all(folder)?;
            whole::replace(&path, &serde_json::to_vec_pretty(self)?, 0o644)
        };
        write().map_err(|e| {
            let detail = format!("{} can't be written: {e}", path.display());
            Problem::new("home.unusable", atelier_api::ExitCode::Configuration, detail)
                .hint("check that ATELIER_HOME is writable and that its disk is not full")
        })
    }

    /// Reads it back; `None` when it is not there or not whole.
    pub(crate) fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }
}

fn mount_source(workspace: &Workspace, shown: Option<&Path>) -> MountSource {
    match &workspace.mode {
        Mode::Overlay { .. } if let Some(folder) = shown => {
            MountSource::Bind { source: tree::place(folder, workspace), readonly: false }
        }
        Mode::Overlay { upper, work } => MountSource::Overlay {
            lowers: workspace.lowers.clone(),
            upper: upper.clone(),
            work: work.clone(),
        },
        Mode::Copy { tree, .. } => MountSource::Bind { source: tree.clone(), readonly: false },
    }
}
