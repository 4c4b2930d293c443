//! The services of an environment as they are kept in the database.

use std::collections::BTreeMap;
use std::net::IpAddr;

use atelier_api::service::UpOptions;
use atelier_compose::{NetworkPlan, ServicePlan, VolumePlan};
use serde::{Deserialize, Serialize};

/// What was started, by which plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServicesRecord {
    /// The name of the Compose project.
    pub(crate) scope: String,
    /// How it was asked for.
    pub(crate) options: UpOptions,
    /// The services of the environment itself.
    pub(crate) services: Vec<ServicePlan>,
    /// Those that other environments use too, with the container that runs them.
    #[serde(default)]
    pub(crate) shared: BTreeMap<String, SharedUse>,
    pub(crate) networks: Vec<NetworkPlan>,
    pub(crate) volumes: Vec<VolumePlan>,
    /// What the reader should know.
    pub(crate) notes: Vec<String>,
}

/// A shared service as one environment uses it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SharedUse {
    /// Its Compose project.
    pub(crate) scope: String,
    /// Its container.
    pub(crate) container: String,
    /// Its address in the environment's network.
    pub(crate) address: Option<IpAddr>,
    /// What it is like.
    pub(crate) plan: ServicePlan,
}

/// Where an environment's services are in their life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// On their way up; taken back when nobody is at it.
    Starting,
    /// Wanted up.
    Up,
    /// Stopped; the subnet stays theirs.
    Down,
}

impl Phase {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    pub(crate) fn read(word: &str) -> Self {
        match word {
            "up" => Self::Up,
            "down" => Self::Down,
            _ => Self::Starting,
        }
    }
}

impl ServicesRecord {
    /// Every service with its plan, and whether it is shared.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ServicePlan, Option<&SharedUse>)> {
        let own = self.services.iter().map(|plan| (plan, None));
        own.chain(self.shared.values().map(|used| (&used.plan, Some(used))))
    }

    /// The first network: the one that the environment's names are in.
    pub(crate) fn main_network(&self) -> Option<&NetworkPlan> {
        self.networks.iter().find(|network| network.key == "default").or(self.networks.first())
    }
}
