//! What is known of one sandbox, as it is kept in the database: enough to start it again.

use std::path::PathBuf;

use atelier_api::Name;
use atelier_api::sandbox::{NetworkPolicy, SandboxOptions, SandboxState};
use atelier_launch::WorkspaceMount;
use atelier_net::Policy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Root, SandboxSpec};

/// One sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    pub(crate) name: Option<Name>,
    pub(crate) state: SandboxState,
    pub(crate) runtime: String,
    pub(crate) root: Root,
    /// The image, template and snapshot as they were asked for.
    pub(crate) origin: Origin,
    /// What it was made with, after defaults were applied.
    pub(crate) options: SandboxOptions,
    /// With header rules, but without the values of their headers.
    pub(crate) network: NetworkPolicy,
    /// Those, sealed.
    #[serde(default)]
    pub(crate) headers: Option<String>,
    pub(crate) policy: Policy,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// What it had left when it was paused, in milliseconds.
    #[serde(default)]
    pub(crate) time_left: Option<u64>,
    /// A state with memory that the next start goes on from.
    #[serde(default)]
    pub(crate) resume_from: Option<PathBuf>,
    /// The sandbox whose token its guest knows, when it goes on from another one's memory.
    #[serde(default)]
    pub(crate) token_of: Option<Uuid>,
    /// Commands of its template.
    #[serde(default)]
    pub(crate) start: Option<String>,
    #[serde(default)]
    pub(crate) ready: Option<String>,
    /// Its volumes, as folders of this machine.
    #[serde(default)]
    pub(crate) mounts: Vec<WorkspaceMount>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) user_home: PathBuf,
}

/// Where a sandbox's files came from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) image: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) snapshot: Option<String>,
}

impl Record {
    /// The id as users see it.
    pub(crate) fn public_id(&self) -> String {
        self.id.simple().to_string()
    }

    /// What it is called in messages.
    pub(crate) fn label(&self) -> String {
        self.name.as_ref().map_or_else(|| self.public_id(), ToString::to_string)
    }

    /// How it runs.
    pub(crate) fn spec(&self) -> SandboxSpec {
        let hostname = self.name.as_ref().map(ToString::to_string);
        SandboxSpec {
            id: self.id,
            runtime: self.runtime.clone(),
            hostname: hostname.unwrap_or_else(|| self.public_id()[..12].to_owned()),
            root: self.root.clone(),
            mounts: self.mounts.clone(),
            policy: self.policy.clone(),
            resources: self.options.resources.clone(),
            rates: self.options.rates,
            grants: Vec::new(),
            variables: self.options.variables.clone(),
            user_home: self.user_home.clone(),
        }
    }

    /// Its time begins now.
    pub(crate) fn begin_time(&mut self, seconds: Option<u64>) {
        let span = |s: u64| jiff::SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX));
        self.expires_at = seconds.and_then(|s| Timestamp::now().checked_add(span(s)).ok());
        self.time_left = None;
    }
}
